// Runs an agent by AG-UI's reference client, and prints what the client has made of it, as JSON.
// The arguments are the URL and a JSON list of runs: each adds `messages` to the conversation, and `answer` resolves
// all interrupts of the run before. A run that goes on for `limit` milliseconds is left alone.
import { createRequire } from "node:module";

const { HttpAgent } = createRequire(`${process.env.NODE_PACKAGES}/`)("@ag-ui/client");
const [url, runs] = [process.argv[2], JSON.parse(process.argv[3])];
const agent = new HttpAgent({ url, threadId: "thread" });
const shown = [];

for (const { messages = [], answer, limit = 60_000, ...input } of runs) {
  const seen = { events: [], warnings: [], failed: null, error: null, usage: null, result: null, waits: true };
  console.warn = console.error = (...texts) => seen.warnings.push(texts.join(" "));
  agent.addMessages(messages);
  if (answer !== undefined)
    input.resume = agent.pendingInterrupts.map(({ id }) => ({ interruptId: id, status: "resolved", payload: answer }));
  const run = async () => {
    await agent.runAgent(input, {
      onEvent: ({ event }) => { seen.events.push(event.type); },
      onRunErrorEvent: ({ event: { message, code } }) => { seen.failed = { message, code }; },
      onRunFinishedEvent: ({ event: { usage, result } }) => { Object.assign(seen, { usage, result }); },
    });
    seen.waits = false;
  };
  try {
    await Promise.race([run(), new Promise((resolve) => setTimeout(resolve, limit).unref())]);
  } catch (error) {
    Object.assign(seen, { error: String(error), waits: false });
  }
  shown.push({ ...seen, messages: [...agent.messages], state: agent.state, interrupts: agent.pendingInterrupts });
}
process.stdout.write(`${JSON.stringify(shown)}\n`, () => process.exit());
