// What a page of another origin may try on a fake agent server; each gives what it could read.
const withFrame = (set) => new Promise((read, refused) => {
  const frame = document.createElement("iframe");
  frame.name = "hidden";
  frame.onload = () => {
    try { frame.contentDocument.body ? read(frame.contentDocument.title) : refused(); } catch { refused(); }
  };
  document.body.append(frame);
  set(frame);
});
const ATTACKS = {
  read: (target) => fetch(`${target}/_fake/state`),
  readWithField: (target) => fetch(`${target}/_fake/state`, { headers: { "X-Fake-Scope": "a" } }),
  readPage: (target) => fetch(`${target}/`),
  reset: (target) => fetch(`${target}/_fake/reset`, { method: "POST" }),
  resetBlindly: (target) => fetch(`${target}/_fake/reset`, { method: "POST", mode: "no-cors" }),
  writeAsText: (target) =>
    fetch(`${target}/_fake/agents/writer`, { method: "POST", mode: "no-cors", body: '{"always": ["evil"]}' }),
  writeAsJSON: (target) => {
    const headers = { "Content-Type": "application/json" };
    return fetch(`${target}/_fake/agents/writer`, { method: "POST", headers, body: '{"always": ["evil"]}' });
  },
  openGate: (target) => fetch(`${target}/_fake/gates/door`, { method: "PUT", body: '{"open": true}' }),
  follow: (target) => new Promise((read, refused) => {
    const source = new EventSource(`${target}/_fake/events`);
    source.onopen = () => read("followed");
    source.onerror = () => { source.close(); refused(); };
  }),
  converse: (target) => new Promise((read, refused) => {
    const socket = new WebSocket(`${target.replace("http", "ws")}/_fake/events`);
    socket.onopen = () => read("connected");
    socket.onerror = refused;
  }),
  frame: (target) => withFrame((frame) => { frame.src = `${target}/`; }),
  submitForm: (target) => withFrame((frame) => {
    const form = document.createElement("form");
    Object.assign(form, { method: "post", target: frame.name, action: `${target}/_fake/reset` });
    document.body.append(form);
    form.submit();
  }),
};
const attack = async (name, target) => {
  try {
    const read = await ATTACKS[name](target);
    return read instanceof Response ? await read.text() : read;
  } catch { return null; }
};
