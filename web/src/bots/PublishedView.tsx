import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { networkName } from "../networks";
import { Button } from "../ui/buttons";
import { bots, type BotEntry, type BotSummary, followable, moment } from "./api";
import { Facts } from "./Facts";

const PAGE = 30;

/** What a bot has published, newest first, each with its receipt. */
export function PublishedView({ bot }: { bot: BotSummary }) {
  const pages = useInfiniteQuery({
    queryKey: ["published", bot.bot],
    queryFn: ({ pageParam }) => bots.published(bot.bot, pageParam, PAGE),
    initialPageParam: 0,
    getNextPageParam: (last, all) => (last.length < PAGE ? undefined : all.length * PAGE),
  });
  const entries = pages.data?.pages.flat() ?? [];
  if (pages.error) {
    return (
      <p className="problem" role="alert">
        {pages.error.message}
      </p>
    );
  }
  if (!pages.data) {
    return (
      <p className="waiting" role="status">
        Loading …
      </p>
    );
  }
  if (!entries.length) return <p className="soft">Nothing yet.</p>;
  return (
    <>
      <ul className="queue">
        {entries.map((entry) => (
          <Published key={entry.id} bot={bot} entry={entry} />
        ))}
      </ul>
      {pages.hasNextPage && (
        <Button look="outlined" busy={pages.isFetchingNextPage} onClick={() => void pages.fetchNextPage()}>
          More
        </Button>
      )}
    </>
  );
}

function Published({ bot, entry }: { bot: BotSummary; entry: BotEntry }) {
  const [opened, setOpened] = useState(false);
  const link = followable(entry.url) ?? followable(entry.uri);
  return (
    <li className="entry">
      <div className="entry-body">
        <p className="entry-text" dir="auto">
          {entry.text}
        </p>
        <p className="soft small facts">
          <span>{moment(entry.published_at, bot.time_zone)}</span>
          {entry.state === "deleted" && <span>deleted on the network</span>}
          {entry.edited && <span>edited</span>}
          {link ? (
            <a href={link} target="_blank" rel="noreferrer nofollow">
              On {networkName(bot.network)}
            </a>
          ) : (
            <span className="name-cut">{entry.uri}</span>
          )}
        </p>
        <details className="receipt" onToggle={(event) => setOpened(event.currentTarget.open)}>
          <summary>Receipt</summary>
          {opened && <Receipt bot={bot.bot} entry={entry.id} />}
        </details>
      </div>
    </li>
  );
}

function Receipt({ bot, entry }: { bot: string; entry: string }) {
  const receipt = useQuery({ queryKey: ["receipt", bot, entry], queryFn: () => bots.receipt(bot, entry), staleTime: Infinity });
  if (receipt.error) return <p role="alert">{receipt.error.message}</p>;
  if (!receipt.data) return <p role="status">Loading …</p>;
  return <Facts values={receipt.data} />;
}
