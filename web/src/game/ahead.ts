/** The first card of somebody who comes back is asked for before the page is drawn. */
import { api, type GameState, type Mode, type Round } from "../api";
import { stored } from "../ui/state";
import { chosenCategory, chosenMode, STORED_CATEGORY, STORED_MODE } from "./chosen";

let ahead: { category: string; mode: Mode; round: Promise<Round> } | undefined;

/** Ask for the card that the page will begin with, if it begins with one. */
export function askAhead(state: GameState | undefined): void {
  const category = chosenCategory(state, stored(STORED_CATEGORY) ?? "");
  if (!state?.score || !category) return;
  const mode = chosenMode(category, stored(STORED_MODE));
  const round = api.round(category.key, mode);
  round.catch(() => undefined); // whoever takes it is told
  ahead = { category: category.key, mode, round };
}

/** A round: the one that was asked for ahead, once, or a new one. */
export function nextRound(category: string, mode: Mode): Promise<Round> {
  const there = ahead;
  ahead = undefined;
  return there?.category === category && there.mode === mode ? there.round : api.round(category, mode);
}
