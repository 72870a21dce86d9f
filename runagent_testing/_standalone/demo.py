"""The script that is served if no file is given: enough to see every kind of step on every transport."""

from __future__ import annotations

__all__ = ["DEMO"]

DEMO = """\
agents:
  demo:
    ids: true
    pace: {tokens_per_second: 25, first: 0.4, jitter: 0.5, seed: 1}
    always:
      - {reasoning: "The reader wants to see a stream. "}
      - {reasoning: "A short story will do."}
      - {tool_call: look_up, arguments: {about: lighthouses}}
      - "A keeper "
      - "of a lighthouse "
      - "counted the ships "
      - "that passed at night. "
      - {heartbeat: }
      - "One ship "
      - "never passed: "
      - "it stayed, "
      - "a light low over the water, "
      - "until the keeper "
      - "learned to wave."
      - {done: The end, usage: {prompt_tokens: 12, completion_tokens: 34, total_tokens: 46}}
    returns:
      steps: ["A keeper of a lighthouse counted the ships that passed at night."]
      usage: {prompt_tokens: 12, completion_tokens: 14, total_tokens: 26}
"""
