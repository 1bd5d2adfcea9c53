/** What stands in for `react` in the built pages: Preact. */
import { options } from "preact";

// Effects run at once, as React does after a key or a click, and not after the next frame: whoever types on at once would
// find the field not yet in focus, and the keys not yet those of the card that is shown.
options.requestAnimationFrame = (run) => queueMicrotask(run);

export * from "preact/compat";
export { default } from "preact/compat";
