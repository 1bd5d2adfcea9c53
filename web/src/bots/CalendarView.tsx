import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { Button } from "../ui/buttons";
import { bots, type BotSummary, type CalendarDay, type CalendarItem } from "./api";

const DAYS = 42;
const WORDS: Record<string, string> = {
  approved: "planned",
  claimed: "on its way",
  attempting: "on its way",
  confirmed: "published",
  unknown: "in doubt",
  failed: "failed",
  deleted: "deleted",
  free: "free",
};

const dated = (day: Date) => day.toISOString().slice(0, 10);
const utc = (text: string) => new Date(`${text}T00:00:00Z`);
const written = (day: Date, how: Intl.DateTimeFormatOptions) => new Intl.DateTimeFormat(undefined, { ...how, timeZone: "UTC" }).format(day);

/** The Monday on or before the first of a month. */
function firstShown(month: Date): Date {
  const first = new Date(month);
  first.setUTCDate(1 - ((first.getUTCDay() + 6) % 7));
  return first;
}

/** A month of a bot in its own time zone: what was published, what is planned, which slots are free. */
export function CalendarView({ bot }: { bot: BotSummary }) {
  const [month, setMonth] = useState(() => {
    const here = new Intl.DateTimeFormat("en-CA", { timeZone: zoneKnown(bot.time_zone), year: "numeric", month: "2-digit" });
    const parts = Object.fromEntries(here.formatToParts(new Date()).map((part) => [part.type, part.value]));
    return new Date(Date.UTC(Number(parts.year), Number(parts.month) - 1, 1));
  });
  const first = dated(firstShown(month));
  const days = useQuery({
    queryKey: ["calendar", bot.bot, first],
    queryFn: () => bots.calendar(bot.bot, first, DAYS),
    placeholderData: keepPreviousData,
  });
  const turn = (by: number) => setMonth(new Date(Date.UTC(month.getUTCFullYear(), month.getUTCMonth() + by, 1)));
  return (
    <section className="calendar-view" aria-label="Calendar">
      <div className="row">
        <Button look="outlined" size="compact" onClick={() => turn(-1)} aria-label="The month before">
          ←
        </Button>
        <h3 aria-live="polite">{written(month, { month: "long", year: "numeric" })}</h3>
        <Button look="outlined" size="compact" onClick={() => turn(1)} aria-label="The month after">
          →
        </Button>
        <span className="soft small">Times in {bot.time_zone}.{!bot.schedule && " It has no schedule, so there are no slots."}</span>
      </div>
      {days.error && (
        <p className="problem" role="alert">
          {days.error.message}
        </p>
      )}
      {days.data && (
        <ol className="calendar">
          {days.data.map((day) => (
            <Day key={day.date} day={day} zone={bot.time_zone} other={utc(day.date).getUTCMonth() !== month.getUTCMonth()} />
          ))}
        </ol>
      )}
    </section>
  );
}

function zoneKnown(zone: string): string {
  try {
    new Intl.DateTimeFormat("en", { timeZone: zone });
    return zone;
  } catch {
    return "UTC";
  }
}

function Day({ day, zone, other }: { day: CalendarDay; zone: string; other: boolean }) {
  const today = new Intl.DateTimeFormat("en-CA", { timeZone: zoneKnown(zone) }).format(new Date()) === day.date;
  const date = utc(day.date);
  const empty = day.items.length === 0;
  return (
    <li className={`day${other ? " day-other" : ""}${today ? " day-today" : ""}${empty ? " day-empty" : ""}`} aria-current={today ? "date" : undefined}>
      <time dateTime={day.date} className="day-name">
        <span className="day-week">{written(date, { weekday: "short" })} </span>
        {written(date, { day: "numeric" })}
        <span className="day-month"> {written(date, { month: "short" })}</span>
      </time>
      {!empty && (
        <ul>
          {day.items.map((item) => (
            <Item key={`${item.at} ${item.id}`} item={item} />
          ))}
        </ul>
      )}
    </li>
  );
}

function Item({ item }: { item: CalendarItem }) {
  const words = WORDS[item.state] ?? item.state;
  return (
    <li className={`slot-item slot-${item.state}`} title={item.text ?? undefined}>
      <b>{item.time}</b>{" "}
      {item.text ? (
        <>
          <span className="visually-hidden">{words}: </span>
          <span dir="auto">{item.text}</span>
        </>
      ) : (
        words
      )}
    </li>
  );
}
