/** The bots' part of the API, and how their moments are written. */

import { answerOf, client } from "../api";
import type { components } from "../api.gen";

type Schemas = components["schemas"];
export type BotsState = Schemas["BotsState"];
export type BotSummary = Schemas["BotSummary"];
export type BotDetail = Schemas["BotDetail"];
export type BotEntry = Schemas["BotEntry"];
export type BotChecks = Schemas["BotChecks"];
export type BotSetUp = Schemas["BotSetUp"];
export type CalendarDay = Schemas["CalendarDay"];
export type CalendarItem = Schemas["CalendarItem"];
export type PublicBot = Schemas["PublicBot"];
export type PublicPublication = Schemas["PublicPublication"];
export type Switch = Schemas["SwitchBody"]["state"];
/** What a run came to, as `pasquin publish --json` says it. */
export type Run = Schemas["BotPublished"];
/** Where a text came from: an object of plain values and smaller objects. */
export type Receipt = Record<string, unknown>;

const at = (name: string) => ({ params: { path: { name } } });
const of = (name: string, entry: string) => ({ params: { path: { name, entry } } });
const done = (call: Promise<{ data?: unknown; error?: unknown; response: Response }>) => answerOf<unknown>(call);

export const bots = {
  all: () => answerOf<BotsState>(client.GET("/api/bots")),
  one: (name: string) => answerOf<BotDetail>(client.GET("/api/bots/{name}", at(name))),
  published: (name: string, skip: number, n: number) =>
    answerOf<BotEntry[]>(
      client.GET("/api/bots/{name}/entries", { params: { path: { name }, query: { group: "published", skip, n } } }),
    ),
  receipt: (name: string, entry: string) =>
    answerOf<Receipt>(client.GET("/api/bots/{name}/entries/{entry}/receipt", of(name, entry))),
  calendar: (name: string, first: string, days: number) =>
    answerOf<CalendarDay[]>(client.GET("/api/bots/{name}/calendar", { params: { path: { name }, query: { first, days } } })),
  switchAll: (state: Switch) => done(client.POST("/api/bots/switch", { body: { state } })),
  switchOne: (name: string, state: Switch) => done(client.POST("/api/bots/{name}/switch", { ...at(name), body: { state } })),
  move: (name: string, entry: string, before: string | null) =>
    done(client.POST("/api/bots/{name}/entries/{entry}/move", { ...of(name, entry), body: { before } })),
  withdraw: (name: string, entry: string) => done(client.POST("/api/bots/{name}/entries/{entry}/withdraw", of(name, entry))),
  retry: (name: string, entry: string) => done(client.POST("/api/bots/{name}/entries/{entry}/retry", of(name, entry))),
  edit: (name: string, entry: string, text: string) =>
    done(client.POST("/api/bots/{name}/entries/{entry}/edit", { ...of(name, entry), body: { text } })),
  resolve: (name: string, entry: string, uri: string | null) =>
    done(client.POST("/api/bots/{name}/entries/{entry}/resolve", { ...of(name, entry), body: { uri } })),
  release: (name: string) => done(client.POST("/api/bots/{name}/release", at(name))),
  check: (name: string) => answerOf<BotChecks>(client.POST("/api/bots/{name}/check", at(name))),
  setUp: (name: string) => answerOf<BotSetUp>(client.POST("/api/bots/{name}/setup", at(name))),
  publish: (name: string) => answerOf<Run>(client.POST("/api/bots/{name}/publish", at(name))),
  open: (name: string, skip: number, n: number) =>
    answerOf<PublicBot>(client.GET("/api/bots/{name}/public", { params: { path: { name }, query: { skip, n } } })),
};

/** A moment on the clock of a bot's time zone. */
export function moment(iso: string | null | undefined, zone: string | undefined): string {
  if (!iso) return "";
  const when = { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" } as const;
  try {
    return new Intl.DateTimeFormat(undefined, { ...when, timeZone: zone }).format(new Date(iso));
  } catch {
    return new Intl.DateTimeFormat(undefined, { ...when, timeZone: "UTC" }).format(new Date(iso)); // a zone this browser does not know
  }
}

/** The address, where it is one that may be followed. */
export const followable = (url: string | null | undefined) => (url?.startsWith("https://") ? url : undefined);
