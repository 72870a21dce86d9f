// aimock's AG-UI server: what it answers is chosen by the last message of the user.
import { createRequire } from "node:module";

const aimock = createRequire(`${process.env.NODE_PACKAGES}/`)("@copilotkit/aimock");
const text = aimock.buildAGUITextResponse("Once upon a time");
const answers = {
  text,
  slowly: text,
  chunks: aimock.buildAGUITextChunkResponse("Once"),
  tool: aimock.buildAGUIToolCallResponse("weather", '{"city":"Oslo"}', { result: "sunny" }),
  "tool chunks": [
    text[0],
    ...aimock.buildAGUIToolCallChunk('{"city":', { toolCallId: "c1", toolCallName: "weather" }).slice(1, -1),
    ...aimock.buildAGUIToolCallChunk('"Oslo"}').slice(1, -1),
    text.at(-1),
  ],
  reasoning: aimock.buildAGUIReasoningResponse("let me see"),
  state: [...aimock.buildAGUIStateUpdate({ count: 1 }).slice(0, -1), ...aimock.buildAGUIStateDelta([]).slice(1)],
  step: aimock.buildAGUIStepWithText("draft", "Once"),
  activity: aimock.buildAGUIActivityResponse("a1", "plan", { steps: 2 }),
  raw: aimock.buildAGUIRawEvent({ any: 1 }, "model"),
  custom: aimock.buildAGUICustomEvent("mood", "good"),
  error: aimock.buildAGUIErrorResponse("no room left", "BUSY"),
  usage: aimock.buildAGUITextResponse("Once", { usage: [{ inputTokens: 4, outputTokens: 1 }] }),
  unfinished: text.slice(0, -1),
};
const mock = new aimock.AGUIMock({ port: Number(process.argv[2]), host: "127.0.0.1" });
for (const [name, events] of Object.entries(answers)) mock.onRun(new RegExp(`^${name}$`), events, name === "slowly" ? 20 : 0);
await mock.start();
