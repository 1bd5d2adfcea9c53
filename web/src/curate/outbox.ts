/**
 * Decisions that the server has not confirmed yet, in the browser's storage, so that neither a lost connection nor a
 * closed tab loses one. Each has a place of its own: two tabs do not overwrite each other's.
 */

import type { Entry } from "./api";

type Kept = { at: number; entry: Entry };

export class Outbox {
  private readonly kept = new Map<string, Kept>();
  private counter = Date.now() * 1_000;

  constructor(curator: string) {
    this.prefix = `pasquin-decision:${curator}:`;
    for (const name of Object.keys(localStorage)) if (name.startsWith(this.prefix)) this.read(name);
  }

  private readonly prefix: string;

  private read(name: string): void {
    try {
      const kept = JSON.parse(localStorage.getItem(name) ?? "") as Kept;
      if (typeof kept.entry.key === "string") this.kept.set(kept.entry.key, kept);
    } catch {
      localStorage.removeItem(name);
    }
  }

  get size(): number {
    return this.kept.size;
  }

  /** Oldest first. */
  entries(): Entry[] {
    return [...this.kept.values()].sort((one, other) => one.at - other.at).map((kept) => kept.entry);
  }

  add(entry: Entry): void {
    this.counter += 1;
    const kept = { at: this.counter, entry };
    this.kept.set(entry.key, kept);
    try {
      localStorage.setItem(this.prefix + entry.key, JSON.stringify(kept));
    } catch {
      // A full or forbidden storage: the decision is kept as long as the page is open.
    }
  }

  remove(key: string): void {
    this.kept.delete(key);
    localStorage.removeItem(this.prefix + key);
  }
}
