/** The server's API, typed from its OpenAPI schema. Every failure becomes an `ApiError` a person can read. */

import createClient from "openapi-fetch";

import type { components, paths } from "./api.gen";

type Schemas = components["schemas"];
export type GameState = Schemas["GameState"];
export type Category = Schemas["Category"];
export type Trial = Schemas["Trial"];
export type Round = Schemas["Round"];
export type Reveal = Schemas["Reveal"];
/** What a card was, and where it comes from. */
export type Sources = Pick<Reveal, "origin" | "human" | "model">;
export type Mode = NonNullable<NonNullable<paths["/api/game/round"]["get"]["parameters"]["query"]>["mode"]>;
export type Day = Schemas["Day"];
export type Standing = Schemas["Standing"];
export type Boards = Schemas["Boards"];
export type Reason = Schemas["ReasonBody"]["reason"];
export type Confidence = NonNullable<Schemas["GuessBody"]["confidence"]>;
export type Score = Schemas["Score"];
export type Setup = Schemas["Setup"];
export type Origin = Reveal["origin"];
export type Answer = Schemas["GuessBody"];

/** Whether this page is shown in a frame of another site. */
export const embedded = window.location.pathname.replace(/\/+$/, "") === "/embed";

/** Where the cards of a site without a server are (`pasquin play --export`); undefined where there is a server. */
const pack = document.querySelector<HTMLMetaElement>('meta[name="pasquin-pack"]')?.content;
export const serverless = pack !== undefined;
const local = pack === undefined ? undefined : import("./game/packed").then(({ packed }) => packed(pack));

const PATIENCE_MS = 15_000;

/** A refusal or a failure. `status` is 0 when the server did not answer at all. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }

  /** Whether trying the same again later makes sense. */
  get transient(): boolean {
    return this.status === 0 || this.status >= 500 || this.status === 429;
  }
}

export const client = createClient<paths>({
  fetch: (request) => fetch(request, { signal: AbortSignal.timeout(PATIENCE_MS) }),
});

export async function answerOf<T>(call: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  let result;
  try {
    result = await call;
  } catch {
    throw new ApiError(0, "The server does not answer.");
  }
  if (!result.response.ok) {
    const said = result.error as { message?: unknown } | undefined;
    throw new ApiError(result.response.status, typeof said?.message === "string" ? said.message : "Something went wrong.");
  }
  return result.data as T;
}

export const api = {
  state: () => local?.then((here) => here.state()) ?? answerOf<GameState>(client.GET("/api/game")),
  start: () => local?.then((here) => here.start()) ?? answerOf<Score>(client.POST("/api/game/start", { params: { query: { embedded } } })),
  round: (category: string, mode: Mode) =>
    local?.then((here) => here.round(category, mode)) ??
    answerOf<Round>(client.GET("/api/game/round", { params: { query: { category, mode } } })),
  guess: (body: Answer, mode: Mode) =>
    local?.then((here) => here.guess(body, mode)) ?? answerOf<Reveal>(client.POST("/api/game/guess", { body })),
  reason: (trial: string, reason: Reason) =>
    answerOf<undefined>(client.POST("/api/game/reason", { body: { trial, reason } })),
  nick: (nick: string | null) => answerOf<undefined>(client.PUT("/api/game/nick", { body: { nick } })),
  boards: () => answerOf<Boards>(client.GET("/api/game/boards")),
  erase: () => local?.then((here) => here.erase()) ?? answerOf<undefined>(client.DELETE("/api/game/player")),
};
