import { useState } from "react";

/** Whether something that opens and closes is open. */
export function useOpened(): [boolean, { open: () => void; close: () => void }] {
  const [opened, set] = useState(false);
  return [opened, { open: () => set(true), close: () => set(false) }];
}

/** A string that this browser keeps from visit to visit, where it gives the page any storage. */
export function useStored(key: string, otherwise: string): [string, (value: string) => void] {
  const [value, set] = useState(() => stored(key) ?? otherwise);
  const change = (now: string) => {
    set(now);
    store(key, now);
  };
  return [value, change];
}

/** What is kept under `key`; null where nothing is, or the browser gives a frame no storage. */
export function stored(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

/** Keep `value` under `key`; for this visit only where there is no storage. */
export function store(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Then not.
  }
}
