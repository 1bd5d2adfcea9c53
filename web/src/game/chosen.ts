/** What is played: the category and the mode that this browser was last left with, where they are still there. */
import { type Category, type GameState, type Mode, serverless } from "../api";

export const STORED_CATEGORY = "pasquin-category";
export const STORED_MODE = "pasquin-mode";
export const MODES: Mode[] = serverless ? ["classic", "endless"] : ["classic", "pair", "daily", "endless"];

/** The category `wanted`, else the first that can be played. */
export function chosenCategory(state: GameState | undefined, wanted: string): Category | undefined {
  const open = state?.categories.filter((category) => category.reason === null) ?? [];
  return open.find((category) => category.key === wanted) ?? open[0];
}

/** The mode `wanted` where the category has it. */
export function chosenMode(category: Category | undefined, wanted: string | null): Mode {
  return MODES.find((each) => each === wanted && (each !== "daily" || category?.daily)) ?? "classic";
}
