// Official clients that are written in JavaScript, each asked for streams; see clients.py.
//
// `node clients.mjs PROTOCOL URL TIMES` needs the packages in the folder that NODE_PACKAGES names. Neither client has a
// limit for silence: a stream without an end is "waits".

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const LONGEST = 3000; // milliseconds that a broken stream may go on
const QUESTION = "Tell me a story";
const require = createRequire(`${process.env.NODE_PACKAGES}/`);
const load = (name) => import(pathToFileURL(require.resolve(name)).href);

async function agui(url, write) {
  const { HttpAgent } = await load("@ag-ui/client");
  const agent = new HttpAgent({ url: `${url}/agui/writer`, threadId: "thread" });
  agent.messages = [{ id: "1", role: "user", content: QUESTION }];
  let failure;
  await agent.runAgent({}, {
    onTextMessageContentEvent: ({ event }) => write(event.delta),
    onRunFailed: ({ error }) => { failure = error; },
    onRunErrorEvent: ({ event }) => { failure = new Error(event.message); },
  });
  if (failure) throw failure;
}

async function vercel(url, write) {
  const { DefaultChatTransport, readUIMessageStream } = await load("ai");
  const transport = new DefaultChatTransport({ api: `${url}/vercel/writer` });
  const messages = [{ id: "1", role: "user", parts: [{ type: "text", text: QUESTION }] }];
  const stream = await transport.sendMessages({
    trigger: "submit-message", chatId: "chat", messages, abortSignal: undefined,
  });
  let failure;
  let last = "";
  const onError = (error) => { failure = error; };
  for await (const message of readUIMessageStream({ stream, onError })) {
    const text = message.parts.filter((part) => part.type === "text").map((part) => part.text).join("");
    write(text.slice(last.length));
    last = text;
  }
  if (failure) throw failure;
}

const [protocol, url, times] = process.argv.slice(2);
let report;
for (let time = 0; time < Number(times); time++) {
  let size = 0;
  let end = "completed";
  const before = process.cpuUsage();
  try {
    const waits = new Promise((resolve) => setTimeout(resolve, LONGEST, true).unref());
    const read = { agui, vercel }[protocol](url, (piece) => { size += piece.length; });
    if (await Promise.race([read, waits])) end = "waits";
  } catch (error) {
    end = error?.constructor?.name ?? String(error);
  }
  const { user, system } = process.cpuUsage(before);
  report = { size, end, cpu: (user + system) / 1e6 };
}
console.log(JSON.stringify(report));
process.exit(0);
