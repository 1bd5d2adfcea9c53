/** What stands in for `react` in the built pages: Preact, and the one export that it lacks and Mantine names. */
export * from "preact/compat";
export { default, Fragment as Activity } from "preact/compat";
