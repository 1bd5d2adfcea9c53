/** The curators' part of the API. */

import { answerOf, client } from "../api";
import type { components, operations } from "../api.gen";

type Schemas = components["schemas"];
export type CurationState = Schemas["CurationState"];
export type Candidate = Schemas["Candidate"];
export type Decided = Schemas["Decided"];
export type Entry = Schemas["EntryBody"];
export type Mine = Schemas["Mine"];
export type Network = Schemas["Network"];
export type Past = Schemas["Past"];
export type Together = Schemas["Together"];
export type Span = Schemas["Span"];
type Query = Omit<NonNullable<operations["cards_api_curation_cards_get"]["parameters"]["query"]>, "n" | "have">;
export type Filters = { [Name in keyof Query]?: Query[Name] | undefined };

/** The filters that are set. */
const set = (filters: Filters) => Object.fromEntries(Object.entries(filters).filter(([, value]) => value)) as Query;

export const curation = {
  signIn: (token: string) => answerOf(client.POST("/api/curation/sign-in", { body: { token } })),
  signOut: () => answerOf<undefined>(client.POST("/api/curation/sign-out")),
  state: () => answerOf<CurationState>(client.GET("/api/curation")),
  cards: (filters: Filters, n: number, have: string[]) =>
    answerOf<Candidate[]>(client.GET("/api/curation/cards", { params: { query: { ...set(filters), n, have: have.join(",") } } })),
  decide: (entries: Entry[]) => answerOf<Schemas["Recorded"]>(client.POST("/api/curation/decisions", { body: { entries } })),
  history: (before: number | undefined, n: number) =>
    answerOf<Past[]>(client.GET("/api/curation/history", { params: { query: before === undefined ? { n } : { before, n } } })),
  pair: (filters: Filters, have: string[]) =>
    answerOf<Schemas["Pair"]>(client.GET("/api/curation/pair", { params: { query: { ...set(filters), have: have.join(",") } } })),
  prefer: (body: Schemas["PreferenceBody"]) => answerOf(client.POST("/api/curation/preferences", { body })),
  together: () => answerOf<Together>(client.GET("/api/curation/together")),
};

/** A key that nobody else makes, also where the page came by plain http. */
export function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
