import "../curate/curate.css";
import "./bots.css";

import { useInfiniteQuery } from "@tanstack/react-query";
import { useEffect } from "react";

import { ApiError } from "../api";
import { ColourToggle } from "../game/Header";
import { Notice } from "../game/Notice";
import { networkName } from "../networks";
import { Button } from "../ui/buttons";
import { bots, followable, moment, type PublicBot, type PublicPublication } from "./api";
import { Facts } from "./Facts";

const PAGE = 30;
const name = decodeURIComponent(window.location.pathname.replace(/^\/bots\//, "").replace(/\/+$/, ""));

/** What anybody may know of a bot: what it is, what it says of itself, and where each of its texts came from. */
export default function PublicBotPage() {
  useEffect(() => {
    document.title = `${name} · an AI bot`;
  }, []);
  const pages = useInfiniteQuery({
    queryKey: ["public", name],
    queryFn: ({ pageParam }) => bots.open(name, pageParam, PAGE),
    initialPageParam: 0,
    getNextPageParam: (last, all) => (last.publications.length < PAGE ? undefined : all.length * PAGE),
  });
  const bot = pages.data?.pages[0];
  const nothing = pages.error instanceof ApiError && !pages.error.transient;
  return (
    <div className="page curate">
      <header className="header curate-header">
        <a className="wordmark" href="/">
          Pasquin
        </a>
        <div className="header-tools">
          <ColourToggle />
        </div>
      </header>
      <main className="curate-main public-bot">
        {pages.error && !bot && (
          <Notice
            title={nothing ? "There is no such bot here" : "The server is out of reach"}
            tone={nothing ? "quiet" : "trouble"}
            action={!nothing && <Button onClick={() => void pages.refetch()}>Try again</Button>}
          >
            {nothing ? "Nothing was ever published under this name." : pages.error.message}
          </Notice>
        )}
        {!pages.error && !bot && (
          <p className="waiting" role="status">
            Loading …
          </p>
        )}
        {bot && (
          <>
            <About bot={bot} />
            <h2>What it published</h2>
            {bot.published === 0 && <p className="soft">Nothing yet.</p>}
            <ul className="queue">
              {pages.data?.pages.flatMap((page, place) =>
                page.publications.map((one, number) => <Publication key={`${place} ${number}`} one={one} network={bot.network} />),
              )}
            </ul>
            {pages.hasNextPage && (
              <Button look="outlined" busy={pages.isFetchingNextPage} onClick={() => void pages.fetchNextPage()}>
                Earlier ones
              </Button>
            )}
          </>
        )}
      </main>
    </div>
  );
}

function About({ bot }: { bot: PublicBot }) {
  const held = bot.checks?.filter((one) => one.holds).length ?? 0;
  return (
    <section className="about-bot" aria-labelledby="public-name">
      <div className="bot-title">
        <h1 id="public-name">{bot.bot}</h1>
        <span className="bot-badge">AI bot</span>
      </div>
      <p>
        What this account posts is written by a language model
        {bot.model_family ? <> ({bot.model_family})</> : null}.
        {bot.curated === true && " A person picks each text before it is published."}
        {bot.curated === false && " Nobody looks at the texts before they are published."}
        {bot.parodies.length > 0 && (
          <>
            {" "}
            It is a parody of <bdi>{bot.parodies[0]}</bdi>, and not the original.
          </>
        )}
        {!bot.running && " It no longer runs here."}
      </p>
      <dl className="receipt-facts">
        <div>
          <dt>where</dt>
          <dd>
            {networkName(bot.network)} {bot.account && <bdi className="name-cut">{bot.account}</bdi>}
          </dd>
        </div>
        {bot.maintainer && (
          <div>
            <dt>who answers for it</dt>
            <dd>
              <bdi className="name-cut">{bot.maintainer}</bdi>
            </dd>
          </div>
        )}
        {bot.checks && (
          <div>
            <dt>its profile</dt>
            <dd>
              {held === bot.checks.length ? "says all that it must" : `says ${held} of the ${bot.checks.length} things it must`}, as of{" "}
              {moment(bot.checked_at, undefined)}
            </dd>
          </div>
        )}
        <div>
          <dt>published</dt>
          <dd>
            {bot.published} {bot.published === 1 ? "text" : "texts"}
          </dd>
        </div>
      </dl>
    </section>
  );
}

function Publication({ one, network }: { one: PublicPublication; network: string }) {
  const link = followable(one.url) ?? followable(one.uri);
  const receipt = { ...one.origin, ...(one.novelty ? { novelty: one.novelty } : {}), ...(one.uri ? { uri: one.uri } : {}) };
  return (
    <li className="entry">
      <div className="entry-body">
        <p className={`entry-text${one.deleted ? " soft" : ""}`} dir="auto">
          {one.deleted ? "This one was deleted." : one.text}
        </p>
        <p className="soft small facts">
          <span>{moment(one.published_at, undefined)}</span>
          <span>{one.edited ? "edited by a person" : one.curated ? "picked by a person" : "not picked by a person"}</span>
          {one.repeated && <span>said before</span>}
          {link && (
            <a href={link} rel="noreferrer nofollow">
              On {networkName(network)}
            </a>
          )}
        </p>
        {!one.deleted && (
          <details className="receipt">
            <summary>Where it came from</summary>
            <Facts values={receipt} />
          </details>
        )}
      </div>
    </li>
  );
}
