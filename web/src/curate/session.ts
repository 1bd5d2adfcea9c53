/**
 * What the page works on: candidates fetched ahead, decisions made, and their way to the server. Deciding changes things
 * here at once and never waits; the server hears of it as soon as it can.
 */

import { ApiError } from "../api";
import { type Candidate, curation, type CurationState, type Entry, type Filters, type Mine, newKey } from "./api";
import { Outbox } from "./outbox";

export type Verdict = "accept" | "edit" | "reject" | "skip";
export type Made = { key: string; candidate: Candidate; decision: Verdict; text: string | null; group: number; number?: number };
type Details = { text?: string; reason?: string; via?: Entry["via"]; group?: number; seconds?: number };

const AHEAD = 60;
const FRESH_EVERY = 8;
const SURE = 4;
const BATCH = 20;
const BATCH_CHARACTERS = 4_000;
const RETRY_MS = 2_000;
const LOOK_AGAIN_MS = 10_000;

export class Session {
  queue: Candidate[] = [];
  made: Made[] = [];
  filters: Filters = {};
  mine: Mine;
  progress: CurationState["progress"];
  connected = true;
  signedOut = false;
  loaded = false;
  problem: string | undefined;
  last: string | undefined;
  /** Ids of cards that stay in the queue whatever the new order is. */
  held: ReadonlySet<string> = new Set();
  private shownAt = performance.now();
  private version = 0;
  private listeners = new Set<() => void>();
  private outbox: Outbox;
  private sending = false;
  private fetching = false;
  private wanted = false;
  private sinceFetch = 0;
  private decidedHere = new Map<string, Verdict>();
  private undone = new Map<string, Verdict>();
  private historyEnd: number | undefined;
  private historyDone = false;
  private groups = 0;
  private decidedThen: number;
  private timers: number[] = [];

  constructor(readonly state: CurationState) {
    this.mine = state.mine;
    this.progress = state.progress;
    this.outbox = new Outbox(state.curator.id);
    this.decidedThen = state.mine.decided;
    for (const entry of this.outbox.entries()) this.note(entry);
  }

  /** Begin to fetch and to send; the result ends both. */
  start(): () => void {
    const again = () => void this.flush();
    window.addEventListener("online", again);
    this.timers = [window.setInterval(again, RETRY_MS), window.setInterval(() => this.lookAgain(), LOOK_AGAIN_MS)];
    void this.flush().then(() => {
      void this.fetchCards();
      void this.fetchHistory();
    });
    return () => {
      window.removeEventListener("online", again);
      this.timers.forEach(window.clearInterval);
    };
  }

  subscribe = (listener: () => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };
  snapshot = () => this.version;

  private changed(): void {
    this.version += 1;
    this.listeners.forEach((listener) => listener());
  }

  get current(): Candidate | undefined {
    return this.queue[0];
  }

  get unsent(): number {
    return this.outbox.size;
  }

  /** What I decided, those on their way counted in. */
  get counts(): { decided: number; kept: number; seconds: number; minutesPerKeeper: number | null } {
    let { decided, kept, seconds } = this.mine;
    for (const entry of this.outbox.entries()) {
      seconds += Math.min(entry.seconds ?? 0, 120);
      const undone = entry.decision === "undo" ? this.undone.get(entry.key) : undefined;
      const decision = undone ?? entry.decision;
      if (decision === "undo" || decision === "skip") continue;
      decided += undone ? -1 : 1;
      if (decision !== "reject") kept += undone ? -1 : 1;
    }
    return { decided, kept, seconds, minutesPerKeeper: kept ? seconds / 60 / kept : null };
  }

  /** Candidates still to decide: what the server counted last, less what I decided since. */
  get toGo(): number {
    return Math.max(0, this.progress.open - (this.counts.decided - this.decidedThen));
  }

  // Deciding

  decide(decision: Verdict, details: Details = {}): void {
    const candidate = this.current;
    if (!candidate) return;
    this.decideOn(candidate, decision, details);
  }

  decideOn(candidate: Candidate, decision: Verdict, details: Details = {}): void {
    const seconds = details.seconds ?? this.secondsLooked();
    const key = newKey();
    const text = details.text ?? null;
    this.put({ key, candidate: candidate.id, decision, text, reason: details.reason ?? null, seconds, via: details.via ?? "card" });
    this.made.push({ key, candidate, decision, text, group: details.group ?? this.newGroup() });
    this.queue = this.queue.filter((card) => card.id !== candidate.id);
    this.last = SAID[decision] + (details.reason ? ` as ${details.reason}` : "");
    this.sinceFetch += 1;
    this.shownAt = performance.now();
    if (this.sinceFetch >= FRESH_EVERY || this.queue.length < SURE * 2) void this.fetchCards();
    this.changed();
  }

  /** Seconds since what is shown was shown. */
  secondsLooked(): number {
    return (performance.now() - this.shownAt) / 1_000;
  }

  newGroup(): number {
    this.groups += 1;
    return this.groups;
  }

  /** Take back the latest decision (all of them, where several were made at once); their candidates come up again. */
  undo(): void {
    const latest = this.made.at(-1);
    if (!latest) {
      this.last = this.historyDone ? "There is nothing to undo" : "Looking for older decisions …";
      void this.fetchHistory();
      this.changed();
      return;
    }
    let count = 0;
    while (this.made.at(-1)?.group === latest.group) {
      const made = this.made.pop() as Made;
      const key = newKey();
      this.undone.set(key, made.decision);
      this.put({ key, candidate: made.candidate.id, decision: "undo", undoes: made.key, seconds: 0, via: "card" });
      this.decidedHere.delete(made.candidate.id);
      const decided = made.number === undefined ? made.candidate.decided : null;
      this.queue = [{ ...made.candidate, decided }, ...this.queue.filter((card) => card.id !== made.candidate.id)];
      count += 1;
    }
    this.last = count > 1 ? `${count} decisions undone` : `Undone: ${SAID[latest.decision].toLowerCase()}`;
    this.shownAt = performance.now();
    if (this.made.length < 5) void this.fetchHistory();
    this.changed();
  }

  setFilters(filters: Filters): void {
    this.filters = filters;
    this.queue = [];
    this.loaded = false;
    this.changed();
    void this.fetchCards();
  }

  dismiss(): void {
    this.problem = undefined;
    this.changed();
  }

  private put(entry: Entry): void {
    this.outbox.add(entry);
    this.note(entry);
    void this.flush();
  }

  private note(entry: Entry): void {
    if (entry.decision === "undo") this.decidedHere.delete(entry.candidate);
    else this.decidedHere.set(entry.candidate, entry.decision);
  }

  // The way to the server and back

  async flush(): Promise<void> {
    if (this.sending || this.signedOut) return;
    this.sending = true;
    let most = BATCH;
    try {
      while (this.outbox.size) {
        const batch = fitting(this.outbox.entries(), most);
        try {
          const answer = await curation.decide(batch);
          for (const { key, outcome } of answer.outcomes) {
            this.outbox.remove(key);
            if (outcome === "gone") this.problem = "A candidate was withdrawn meanwhile, as the post it came near to was. Your decision on it was dropped.";
          }
          this.mine = answer.mine;
          this.connected = true;
        } catch (error) {
          const failure = error instanceof ApiError ? error : new ApiError(0, String(error));
          if (failure.transient || failure.status === 401 || failure.status === 403) {
            this.lost(failure);
            break;
          }
          if (batch.length === 1 && batch[0]) {
            this.outbox.remove(batch[0].key);
            this.problem = `One decision was refused: ${failure.message}`;
          }
          most = 1;
        }
        this.changed();
      }
    } finally {
      this.sending = false;
    }
    this.changed();
  }

  private lost(failure: ApiError): void {
    if (failure.status === 401) this.signedOut = true;
    else this.connected = false;
  }

  /** Fetch candidates ahead. All but the next few are replaced by what the server now holds for best. */
  /** The cards that a new order leaves where they are: those the person may be looking at. */
  private sure(): Candidate[] {
    return this.queue.filter((card, at) => at < SURE || this.held.has(card.id));
  }

  private async fetchCards(): Promise<void> {
    if (this.fetching) {
      this.wanted = true;
      return;
    }
    this.fetching = true;
    this.sinceFetch = 0;
    const filters = this.filters;
    const sure = this.sure();
    const before = new Set(this.decidedHere.keys());
    const unsent = this.outbox.entries().map((entry) => entry.candidate);
    try {
      const have = [...new Set([...sure.map((card) => card.id), ...unsent])].slice(0, 150);
      const found = await curation.cards(filters, AHEAD, have);
      if (filters === this.filters) {
        const head = this.sure();
        const ids = new Set(head.map((card) => card.id));
        this.queue = [...head, ...found.filter((card) => !ids.has(card.id) && this.isNew(card, before, unsent))];
        this.loaded = true;
        if (head.length === 0) this.shownAt = performance.now();
        if (this.queue.length === 0) void this.refreshState();
      }
      this.connected = true;
    } catch (error) {
      this.lost(error instanceof ApiError ? error : new ApiError(0, String(error)));
    } finally {
      this.fetching = false;
    }
    this.changed();
    if (this.wanted) {
      this.wanted = false;
      void this.fetchCards();
    }
  }

  /** Whether a fetched candidate is still to be decided; one that was skipped before asking may come back. */
  private isNew(card: Candidate, before: Set<string>, unsent: string[]): boolean {
    const decision = this.decidedHere.get(card.id);
    if (!decision || (this.filters.status ?? "open") !== "open") return true;
    return decision === "skip" && before.has(card.id) && !unsent.includes(card.id);
  }

  private async fetchHistory(): Promise<void> {
    if (this.historyDone) return;
    try {
      const past = await curation.history(this.historyEnd, 50);
      const known = new Set(this.made.map((made) => made.key));
      const unsent = new Set(this.outbox.entries().map((entry) => entry.undoes));
      const older = past.filter(({ decided }) => !known.has(decided.key) && !unsent.has(decided.key));
      this.historyEnd = past.at(-1)?.decided.number ?? this.historyEnd;
      this.historyDone = past.length === 0;
      this.made = [
        ...older.reverse().map(({ decided, candidate }) => ({
          key: decided.key,
          candidate,
          decision: decided.decision,
          text: decided.text,
          group: this.newGroup(),
          number: decided.number,
        })),
        ...this.made,
      ];
      this.changed();
    } catch {
      // Without a connection there is no older history; it is asked for again with the next undo.
    }
  }

  private lookAgain(): void {
    if (this.queue.length <= SURE) void this.fetchCards();
    void this.refreshState();
  }

  private async refreshState(): Promise<void> {
    try {
      const state = await curation.state();
      this.progress = state.progress;
      this.decidedThen = state.mine.decided;
      this.connected = true;
    } catch (error) {
      this.lost(error instanceof ApiError ? error : new ApiError(0, String(error)));
    }
    this.changed();
  }
}

const SAID: Record<Verdict, string> = { accept: "Accepted", edit: "Accepted with your edit", reject: "Rejected", skip: "Skipped" };

/** As many of the entries, oldest first, as the server takes at once. */
function fitting(entries: Entry[], most: number): Entry[] {
  const batch: Entry[] = [];
  let characters = 0;
  for (const entry of entries.slice(0, most)) {
    characters += 200 + (entry.text?.length ?? 0);
    if (batch.length && characters > BATCH_CHARACTERS) break;
    batch.push(entry);
  }
  return batch;
}
