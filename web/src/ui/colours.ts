/** Light or dark: as the system has it, or as the player chose. `data-colours` of the page says which, for the styles. */
import { useSyncExternalStore } from "react";

import { store, stored } from "./state";

const KEY = "pasquin-colours";
const SYSTEM = "(prefers-color-scheme: dark)";
const listeners = new Set<() => void>();

function isDark(): boolean {
  const chosen = stored(KEY) ?? document.documentElement.dataset["chosen"];
  return chosen === "dark" || chosen === "light" ? chosen === "dark" : window.matchMedia(SYSTEM).matches;
}

function show(): void {
  document.documentElement.dataset["colours"] = isDark() ? "dark" : "light";
  for (const listener of listeners) listener();
}

/** Show the page in its colours, from now on. */
export function startColours(): void {
  window.matchMedia(SYSTEM).addEventListener("change", show);
  show();
}

/** Whether the page is dark, and how to choose. */
export function useDark(): [boolean, (dark: boolean) => void] {
  const dark = useSyncExternalStore((changed) => {
    listeners.add(changed);
    return () => listeners.delete(changed);
  }, isDark);
  const choose = (wanted: boolean) => {
    const chosen = wanted ? "dark" : "light";
    document.documentElement.dataset["chosen"] = chosen; // for where there is no storage
    store(KEY, chosen);
    show();
  };
  return [dark, choose];
}
