import { networkName } from "../networks";
import { type BotSummary, moment } from "./api";

const STATES: Record<BotSummary["state"], string> = {
  active: "active",
  paused: "paused",
  stopped: "stopped",
  held: "waits",
  clock: "clock is wrong",
  gone: "removed",
};

/** How a bot is, in a word. */
export function StateBadge({ bot }: { bot: BotSummary }) {
  return <span className={`badge state-${bot.state}`}>{STATES[bot.state]}</span>;
}

/** What is counted as wrong at a glance: everything but a short queue, which has a mark of its own. */
const grave = (bot: BotSummary) => bot.troubles.filter((trouble) => trouble.kind !== "stock");

/** A bot at a glance; choosing it shows its queue. */
export function BotCard({ bot, chosen }: { bot: BotSummary; chosen: boolean }) {
  const troubles = grave(bot);
  return (
    <a className="bot-card" href={`#${encodeURIComponent(bot.bot)}`} aria-current={chosen ? "true" : undefined}>
      <span className="bot-card-head">
        <span className="bot-name">{bot.bot}</span>
        <StateBadge bot={bot} />
      </span>
      <span className="soft small">
        {networkName(bot.network)} <bdi className="name-cut">{bot.account}</bdi>
      </span>
      <span className="small">
        <span className={bot.low ? "low" : ""}>
          {bot.stock} {bot.stock === 1 ? "waits" : "wait"}
          {bot.low && `, fewer than ${bot.minimum_stock}`}
        </span>
        {bot.state === "active" && bot.next_due && <> · next {moment(bot.next_due, bot.time_zone)}</>}
      </span>
      {bot.last && (
        <span className="soft small last-said" dir="auto">
          {bot.last.text}
        </span>
      )}
      {troubles[0] && (
        <span className="trouble-line small">
          {troubles[0].message}
          {troubles.length > 1 && ` (and ${troubles.length - 1} more)`}
        </span>
      )}
    </a>
  );
}
