/** The game without a server: cards and sealed answers from `pack.json`, what was played in this browser only. */

import { type Answer, ApiError, type GameState, type Mode, type Reveal, type Round, type Score } from "../api";

type Card = { id: string; text: string; seal: string };
type Pack = { iterations: number; categories: { key: string; cards: Card[] }[] };
type Played = { answers: Record<string, boolean>; open: Record<string, string>; score: Score; run: number; best: number };

const STORED = "pasquin-packed";
const NOTHING: Played = { answers: {}, open: {}, score: { right: 0, total: 0, streak: 0, best_streak: 0 }, run: 0, best: 0 };

let loading: Promise<Pack> | undefined;
let played: Played | null = read();

function read(): Played | null {
  try {
    return JSON.parse(localStorage.getItem(STORED) ?? "null") as Played | null;
  } catch {
    return null;
  }
}

function keep(now: Played | null): void {
  played = now;
  try {
    if (now) localStorage.setItem(STORED, JSON.stringify(now));
    else localStorage.removeItem(STORED);
  } catch {
    // Kept until the page is closed, then.
  }
}

function pack(address: string): Promise<Pack> {
  loading ??= fetch(address).then((answer) => {
    if (!answer.ok) throw new ApiError(answer.status, "The cards could not be loaded.");
    return answer.json() as Promise<Pack>;
  });
  loading.catch(() => (loading = undefined));
  return loading;
}

const bytes = (text: string) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

async function derived(secret: BufferSource, salt: string, iterations: number, length: number): Promise<Uint8Array> {
  const key = await crypto.subtle.importKey("raw", secret, "PBKDF2", false, ["deriveBits"]);
  const how = { name: "PBKDF2", hash: "SHA-256", salt: new TextEncoder().encode(salt), iterations };
  return new Uint8Array(await crypto.subtle.deriveBits(how, key, length * 8));
}

/** What a card is, out of its seal; as slow as the pack wants it to be. */
async function opened(card: Card, iterations: number): Promise<Pick<Reveal, "origin" | "human" | "model">> {
  if (!globalThis.crypto?.subtle) throw new ApiError(400, "Answers can be opened over https only.");
  const sealed = bytes(card.seal);
  const key = await derived(new TextEncoder().encode(card.id), "pasquin seal", iterations, 32);
  const stream = await derived(key as BufferSource, "pasquin stream", 1, sealed.length);
  return JSON.parse(new TextDecoder().decode(sealed.map((byte, at) => byte ^ stream[at]!)));
}

/** The calls of `api` that the game makes, answered here. */
export function packed(address: string) {
  return {
    state: async (): Promise<GameState> => ({
      categories: (await pack(address)).categories.map(({ key, cards }) => ({
        key,
        corpus: key,
        account: null,
        cards: cards.length,
        reason: null,
        daily: false,
      })),
      score: played?.score ?? null,
      player: played && { nick: null, best_run: played.best, badges: [] },
      setup: null,
    }),
    start: async (): Promise<Score> => {
      keep(played ?? structuredClone(NOTHING));
      return played!.score;
    },
    round: async (category: string, mode: Mode): Promise<Round> => {
      const there = (await pack(address)).categories.find(({ key }) => key === category)?.cards ?? [];
      const now = played ?? structuredClone(NOTHING);
      const left = there.filter(({ id }) => !(id in now.answers));
      const card = left.find(({ id }) => id === now.open[category]) ?? left[Math.floor(Math.random() * left.length)];
      if (card) keep({ ...now, open: { ...now.open, [category]: card.id } });
      const trial = card ? { id: card.id, category, text: card.text, check: null } : null;
      return { trial, other: null, position: mode === "endless" ? now.run : null, day: null, message: null };
    },
    guess: async (answer: Answer, mode: Mode): Promise<Reveal> => {
      const { iterations, categories } = await pack(address);
      const card = categories.flatMap(({ cards }) => cards).find(({ id }) => id === answer.trial);
      if (!card) throw new ApiError(404, "This card is gone. Take the next one.");
      const what = await opened(card, iterations);
      const correct = what.origin === answer.guess;
      const { score, run, best, answers, open } = played ?? structuredClone(NOTHING);
      const streak = correct ? score.streak + 1 : 0;
      const length = mode === "endless" ? run + Number(correct) : run;
      const next = {
        score: {
          right: score.right + Number(correct),
          total: score.total + 1,
          streak,
          best_streak: Math.max(score.best_streak, streak),
        },
        answers: { ...answers, [card.id]: correct },
        open,
        run: mode === "endless" && !correct ? 0 : length,
        best: Math.max(best, length),
      };
      if (!(card.id in answers)) keep(next);
      return {
        ...what,
        trial: card.id,
        guess: answer.guess,
        correct,
        check: false,
        other: null,
        score: next.score,
        run: mode === "endless" ? length : null,
        best_run: next.best,
        day: null,
        others: 0,
        right_share: null,
      };
    },
    erase: async (): Promise<undefined> => keep(null) as undefined,
  };
}
