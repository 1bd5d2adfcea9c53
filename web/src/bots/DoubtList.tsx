import { useState } from "react";

import { Button } from "../ui/buttons";
import { bots, type BotEntry, type BotSummary, moment } from "./api";
import { useAction } from "./useAction";

/** What is being published now, and what nobody knows of: whether the network has it. */
export function DoubtList({ bot, entries, owner }: { bot: BotSummary; entries: BotEntry[]; owner: boolean }) {
  const unknown = entries.filter((entry) => entry.state === "unknown");
  const flying = entries.filter((entry) => entry.state !== "unknown");
  return (
    <section aria-labelledby="doubt-title">
      <h3 id="doubt-title">{unknown.length ? "In doubt" : "On its way"}</h3>
      {unknown.length > 0 && (
        <p className="small">
          The network did not answer, so it may have these or not; they are not sent again by themselves. Look at the account
          of the bot, then say what you found.{!owner && " Only the owner can say it."}
        </p>
      )}
      <ul className="queue">
        {unknown.map((entry) => (
          <Unknown key={entry.id} bot={bot} entry={entry} owner={owner} />
        ))}
        {flying.map((entry) => (
          <li key={entry.id} className="entry">
            <div className="entry-body">
              <p className="entry-text" dir="auto">
                {entry.text}
              </p>
              <p className="soft small">is being published right now</p>
            </div>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Unknown({ bot, entry, owner }: { bot: BotSummary; entry: BotEntry; owner: boolean }) {
  const [found, setFound] = useState(false);
  const [uri, setUri] = useState("");
  const resolve = useAction((at: string | null) => bots.resolve(bot.bot, entry.id, at));
  return (
    <li className="entry entry-doubt">
      <div className="entry-body">
        <p className="entry-text" dir="auto">
          {entry.text}
        </p>
        <p className="small">
          {entry.due_at && <span className="soft">{moment(entry.due_at, bot.time_zone)} · </span>}
          {entry.reason}
        </p>
        {found && (
          <form
            className="resolve"
            onSubmit={(event) => {
              event.preventDefault();
              resolve.mutate(uri.trim());
            }}
          >
            <label className="field small">
              Its address
              <input
                placeholder="https://… or at://…"
                required
                pattern="(https://|at://)\S+"
                value={uri}
                onChange={(event) => setUri(event.target.value)}
              />
            </label>
            <Button type="submit" size="compact" busy={resolve.isPending}>
              Note as published
            </Button>
          </form>
        )}
        {resolve.error && (
          <p className="problem" role="alert">
            {resolve.error.message}
          </p>
        )}
      </div>
      {owner && (
        <div className="row entry-actions">
          <Button size="compact" look="outlined" onClick={() => setFound(!found)} aria-expanded={found}>
            It is there
          </Button>
          <Button size="compact" look="outlined" busy={resolve.isPending} onClick={() => resolve.mutate(null)}>
            It is not there: back into the queue
          </Button>
        </div>
      )}
    </li>
  );
}
