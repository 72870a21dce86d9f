// aimock: a server for the protocols of models, asked by node's own client.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const packages = createRequire(`${process.env.NODE_PACKAGES}/`);
const { LLMock } = packages("@copilotkit/aimock");
const PACKAGE = `${process.env.NODE_PACKAGES}/node_modules/@copilotkit/aimock/package.json`;
const { version } = JSON.parse(readFileSync(PACKAGE, "utf8"));
const TEXT = "Once upon a time there was a king who had three daughters";
const user = (content) => ({ role: "user", content });
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function serving(script, trial, options = {}) {
  const mock = new LLMock({ port: 0, host: "127.0.0.1", logLevel: "silent", ...options });
  script(mock);
  await mock.start();
  try {
    return await trial(mock);
  } finally {
    await mock.stop();
  }
}

const ask = (mock, messages, more = {}) =>
  fetch(`${mock.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: "Bearer sk-any", ...more.headers },
    body: JSON.stringify({ model: "gpt-4o", messages, stream: true, ...more.body }),
    signal: more.signal,
  });

// What came of a stream, with the error that ended it.
async function read(response) {
  let text = "";
  try {
    for await (const piece of response.body) text += Buffer.from(piece).toString();
  } catch (error) {
    return { text, error };
  }
  return { text, error: null };
}

const events = (text) =>
  text.split("\n\n").filter((one) => one.startsWith("data: {")).map((one) => JSON.parse(one.slice(6)));
const deltas = (text) => events(text).flatMap((one) => one.choices.map((choice) => choice.delta));
const said = (text) => deltas(text).map((one) => one.content ?? "").join("");
const answer = async (mock, messages, more) => said((await read(await ask(mock, messages, more))).text);

const TRIALS = {
  // A stream in the form of ChatGPT, with deltas, usage and the end marker.
  2: ["yes", () => serving((mock) => mock.onMessage("hi", { content: TEXT }), async (mock) => {
    const { text } = await read(await ask(mock, [user("hi")], { body: { stream_options: { include_usage: true } } }));
    return said(text) === TEXT && text.endsWith("data: [DONE]\n\n") && events(text).some((one) => one.usage);
  })],
  // One slow answer holds no other up.
  4: ["yes", () => serving((mock) => {
    mock.onMessage("slow", { content: TEXT }, { latency: 100 });
    mock.onMessage("quick", { content: "b" });
  }, async (mock) => {
    let isOver = false;
    const slow = answer(mock, [user("slow")]).then(() => (isOver = true));
    await answer(mock, [user("quick")]);
    const waited = !isOver;
    await slow;
    return waited;
  })],
  // A hundred clients go away in the middle, and the server still ends.
  5: ["yes", () => serving((mock) => mock.onMessage("hi", { content: TEXT }, { latency: 50, chunkSize: 5 }), async (mock) => {
    await Promise.all(Array.from({ length: 100 }, async () => {
      const gone = new AbortController();
      await ask(mock, [user("hi")], { signal: gone.signal });
      gone.abort();
    }));
    return true;
  })],
  // Chunks come at varying speed.
  8: ["yes", () => serving((mock) => mock.onMessage("hi", { content: TEXT }, {
    chunkSize: 10, streamingProfile: { ttft: 100, tps: 50, jitter: 0.3 },
  }), async (mock) => {
    const began = performance.now();
    const response = await ask(mock, [user("hi")]);
    const times = [];
    for await (const piece of response.body) times.push([piece.length, performance.now() - began]);
    return times.length > 3 && times.at(-1)[1] > 150;
  })],
  // Hundreds of slow streams at once.
  9: ["yes", () => serving((mock) => mock.onMessage("hi", { content: TEXT }, { latency: 10, chunkSize: 10 }), async (mock) => {
    const texts = await Promise.all(Array.from({ length: 300 }, () => answer(mock, [user("hi")])));
    return texts.every((one) => one === TEXT);
  })],
  // The first answer fails, the next is good.
  10: ["yes", () => serving((mock) => mock.onMessage("hi", { content: TEXT }), async (mock) => {
    mock.nextRequestError(503);
    const first = await ask(mock, [user("hi")]);
    await first.text();
    return first.status === 503 && (await answer(mock, [user("hi")])) === TEXT;
  })],
  // Answers by the message, the model and the number of the request, and one for the rest.
  11: ["yes", () => serving((mock) => {
    mock.on({ userMessage: "hi", sequenceIndex: 1 }, { content: "again" });
    mock.on({ userMessage: "rain" }, { content: "by text" });
    mock.on({ model: "other" }, { content: "by model" });
    mock.on({ predicate: () => true }, { content: "the rest" });
  }, async (mock) => {
    const texts = [await answer(mock, [user("rain")])];
    texts.push(await answer(mock, [user("snow")], { body: { model: "other" } }), await answer(mock, [user("snow")]));
    return texts.join() === "by text,by model,the rest";
  })],
  // Two tool calls at once, and an answer to their results.
  12: ["yes", () => serving((mock) => {
    const toolCalls = ["Oslo", "Rome"].map((city) => ({ name: "weather", arguments: JSON.stringify({ city }) }));
    mock.on({ userMessage: "warm", hasToolResult: false }, { toolCalls });
    mock.on({ userMessage: "warm", hasToolResult: true }, { content: "in Rome" });
  }, async (mock) => {
    const { text } = await read(await ask(mock, [user("warm")]));
    const pieces = deltas(text).flatMap((one) => one.tool_calls ?? []).filter((one) => one.function?.name);
    const results = pieces.map((one) => ({ role: "tool", tool_call_id: one.id, content: "3" }));
    const calls = { role: "assistant", content: null, tool_calls: pieces };
    return pieces.map((one) => one.index).join() === "0,1"
      && (await answer(mock, [user("warm"), calls, ...results])) === "in Rome";
  })],
  // It sends in HTTP chunks.
  13: ["yes", () => serving((mock) => mock.onMessage("hi", { content: TEXT }), async (mock) => {
    const response = await ask(mock, [user("hi")]);
    await read(response);
    return response.headers.get("transfer-encoding") === "chunked";
  })],
  // The context is too long; a filter ends the stream.
  14: ["yes", () => serving((mock) => {
    const error = { message: "too long", type: "invalid_request_error", code: "context_length_exceeded" };
    mock.onMessage("long", { error, status: 400 });
    mock.onMessage("hi", { content: "Once", finishReason: "content_filter" });
  }, async (mock) => {
    const refused = await ask(mock, [user("long")]);
    const { text } = await read(await ask(mock, [user("hi")]));
    return refused.status === 400 && (await refused.json()).error.code === "context_length_exceeded"
      && events(text).some((one) => one.choices.some((choice) => choice.finish_reason === "content_filter"));
  })],
  // A stream is cut after some chunks, and the journal shows why.
  17: ["yes", () => serving((mock) => mock.onMessage("hi", { content: TEXT }, {
    chunkSize: 10, truncateAfterChunks: 3, latency: 5,
  }), async (mock) => {
    const { error } = await read(await ask(mock, [user("hi")]));
    const { response } = mock.getLastRequest();
    return error !== null && response.interrupted === true && response.interruptReason.includes("truncate");
  })],
  // Does the journal show that the client has let go of the stream, while it goes on?
  19: ["yes", () => serving((mock) => mock.onMessage("hi", { content: TEXT }, { latency: 30, chunkSize: 5 }), async (mock) => {
    const gone = new AbortController();
    await ask(mock, [user("hi")], { signal: gone.signal });
    gone.abort();
    for (let left = 100; left > 0 && mock.getLastRequest() === null; left--) await pause(20);
    await pause(600);
    return mock.getLastRequest()?.response.interrupted === true;
  })],
  // Another process sets answers, reads what was asked, and resets.
  22: ["yes", () => serving(() => {}, async (mock) => {
    const control = (path, method, body) =>
      fetch(`${mock.url}/__aimock/${path}`, { method, body, headers: { "Content-Type": "application/json" } });
    const fixtures = [{ match: { userMessage: "hi" }, response: { content: TEXT } }];
    const added = await control("fixtures", "POST", JSON.stringify({ fixtures }));
    await added.text();
    const text = await answer(mock, [user("hi")]);
    const journal = await (await control("journal", "GET")).json();
    const reset = await control("reset", "POST");
    await reset.text();
    return added.ok && text === TEXT && JSON.stringify(journal).includes("chat/completions") && reset.ok;
  })],
  // Servers take free ports.
  23: ["yes", () => serving(() => {}, (first) => serving(() => {}, (second) => first.port > 0 && first.port !== second.port))],
  // No secret in the journal.
  28: ["yes", () => serving((mock) => mock.onMessage("hi", { content: TEXT }), async (mock) => {
    await answer(mock, [user("hi")], { headers: { Authorization: "Bearer sk-test-4f9a8b7c6d5e" } });
    return !JSON.stringify(mock.getRequests()).includes("sk-test-4f9a8b7c6d5e");
  })],
  // The order of requests.
  33: ["yes", () => serving((mock) => mock.on({ predicate: () => true }, { content: "x" }), async (mock) => {
    for (const model of ["planner", "writer", "critic"]) await answer(mock, [user("hi")], { body: { model } });
    return mock.getRequests().map((one) => one.body.model).join() === "planner,writer,critic";
  })],
  // A stream that is cut off shows as cut off.
  44: ["yes", () => serving((mock) => mock.onMessage("hi", { content: TEXT }, {
    chunkSize: 10, disconnectAfterMs: 40, latency: 15,
  }), async (mock) => (await read(await ask(mock, [user("hi")]))).error !== null)],
};

const verdicts = {};
for (const [number, [verdict, trial]] of Object.entries(TRIALS)) verdicts[number] = (await trial()) ? verdict : "no";
console.log(JSON.stringify({ version, verdicts }));
