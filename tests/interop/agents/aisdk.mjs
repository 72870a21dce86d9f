// Has a conversation by the AI SDK's chat, which is what useChat runs in a browser, and prints what it has made of
// it, as JSON. The arguments are the URL and a JSON list of turns: `text` sends a message of the user, `outputs`
// (by tool call) adds the outputs of tools, `approve` answers all requests for approval. A turn that goes on for
// `limit` milliseconds is left alone.
import { createRequire } from "node:module";

const { AbstractChat, DefaultChatTransport } = createRequire(`${process.env.NODE_PACKAGES}/`)("ai");
const [url, turns] = [process.argv[2], JSON.parse(process.argv[3])];

class Chat extends AbstractChat {}
const state = {
  status: "ready",
  error: undefined,
  messages: [],
  pushMessage: (message) => state.messages.push(message),
  popMessage: () => state.messages.pop(),
  replaceMessage: (index, message) => { state.messages[index] = structuredClone(message); },
  snapshot: (value) => structuredClone(value),
};
const shown = [];
let seen;
const chat = new Chat({
  id: "chat",
  state,
  transport: new DefaultChatTransport({ api: url }),
  onError: (error) => { seen.error = String(error.message); },
  onData: (part) => seen.data.push(part),
  onFinish: ({ isAbort, isError, finishReason }) => { Object.assign(seen, { isAbort, isError, finishReason }); },
});
const parts = () => state.messages.at(-1).parts;

for (const { text, outputs = {}, approve, limit = 60_000 } of turns) {
  seen = { error: null, data: [], finishReason: null };
  for (const [toolCallId, output] of Object.entries(outputs))
    await chat.addToolOutput({ tool: parts().find((part) => part.toolCallId === toolCallId).type.slice(5), toolCallId, output });
  if (approve !== undefined)
    for (const { state, approval } of parts())
      if (state === "approval-requested") await chat.addToolApprovalResponse({ id: approval.id, approved: approve });
  const sent = chat.sendMessage(text === undefined ? undefined : { text });
  await Promise.race([sent, new Promise((resolve) => setTimeout(resolve, limit).unref())]);
  shown.push({ ...seen, status: state.status, messages: structuredClone(state.messages) });
}
process.stdout.write(`${JSON.stringify(shown)}\n`, () => process.exit());
