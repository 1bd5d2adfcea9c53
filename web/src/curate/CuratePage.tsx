import "./curate.css";

import { useQuery } from "@tanstack/react-query";
import { useCallback, useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";

import { ColourToggle } from "../game/Header";
import { InfoIcon } from "../game/icons";
import { Button, IconButton, PlainButton } from "../ui/buttons";
import { useOpened } from "../ui/state";
import { curation, type CurationState } from "./api";
import { CardView } from "./CardView";
import { FilterBar } from "./FilterBar";
import { enter, Gate, isRefusal, LOOK_AGAIN_MS } from "./Gate";
import { GridView } from "./GridView";
import { Help } from "./Help";
import { PairView } from "./PairView";
import { Session } from "./session";
import { TogetherView } from "./TogetherView";
import { useKeys } from "./useKeys";

const VIEWS = { cards: "One by one", grid: "Many", pairs: "Pairs", together: "Together" } as const;
type View = keyof typeof VIEWS;

/** The curators' page: who is nobody is told how to sign in. */
export default function CuratePage() {
  useEffect(() => {
    document.title = "Curate · Pasquin";
  }, []);
  const state = useQuery({
    queryKey: ["curation"],
    queryFn: () => enter(curation.state),
    staleTime: Infinity,
    retry: false,
    refetchInterval: (query) => (query.state.error && !isRefusal(query.state.error) ? LOOK_AGAIN_MS : false),
  });
  if (state.data) return <Curation state={state.data} />;
  return <Gate state={state} title="Sign in to curate" kept="; decisions that were not sent yet are kept in this browser" />;
}

function Curation({ state }: { state: CurationState }) {
  const session = useMemo(() => new Session(state), [state]);
  useEffect(() => session.start(), [session]);
  useSyncExternalStore(session.subscribe, session.snapshot);
  const [view, setView] = useState<View>("cards");
  const [helpOpen, help] = useOpened();
  const search = useRef<HTMLInputElement>(null);
  const show = useCallback(
    (next: View) => {
      setView(next);
      if (next !== "grid" && session.filters.status) session.setFilters({ ...session.filters, status: undefined });
    },
    [session],
  );
  const toCards = useCallback(() => show("cards"), [show]);
  const keys = useMemo(
    () => ({
      g: () => show("grid"),
      p: () => show("pairs"),
      t: () => show("together"),
      c: toCards,
      "/": () => search.current?.focus(),
      "?": help.open,
    }),
    [show, toCards, help.open],
  );
  useKeys(keys);

  return (
    <div className="page curate">
      <header className="header curate-header">
        <div className="wordmark">Pasquin</div>
        <nav className="views" aria-label="Views">
          {(Object.keys(VIEWS) as View[]).map((name) => (
            <PlainButton key={name} className="view" aria-current={name === view ? "page" : undefined} onClick={() => show(name)}>
              {VIEWS[name]}
            </PlainButton>
          ))}
        </nav>
        <div className="header-tools">
          <a className="page-link" href="/bots">
            Bots
          </a>
          <ColourToggle />
          <IconButton className="tool" aria-label="Keys" onClick={help.open}>
            <InfoIcon />
          </IconButton>
        </div>
      </header>
      <main className="curate-main">
        <Figures session={session} />
        {view !== "together" && <FilterBar session={session} search={search} statuses={view === "grid"} />}
        <Troubles session={session} />
        {view === "cards" && <CardView session={session} />}
        {view === "grid" && <GridView session={session} />}
        {view === "pairs" && <PairView session={session} onCards={toCards} />}
        {view === "together" && <TogetherView session={session} />}
      </main>
      <Help opened={helpOpen} onClose={help.close} />
    </div>
  );
}

/** Progress, pace, and what a keeper costs. */
function Figures({ session }: { session: Session }) {
  const { decided, kept, minutesPerKeeper } = session.counts;
  const { candidates } = session.progress;
  const open = session.toGo;
  const done = candidates ? Math.round((100 * (candidates - open)) / candidates) : 0;
  return (
    <div className="figures-bar">
      <div className="bar" role="progressbar" aria-label="Decided" aria-valuenow={done} aria-valuemin={0} aria-valuemax={100}>
        <span style={{ width: `${done}%` }} />
      </div>
      <p className="soft small figures">
        <span>
          <b>{decided}</b> decided by you
        </span>
        <span>
          <b>{kept}</b> kept
        </span>
        {session.mine.per_minute !== null && <span>{session.mine.per_minute.toFixed(0)} a minute</span>}
        {minutesPerKeeper !== null && <span>{minutesPerKeeper.toFixed(minutesPerKeeper < 1 ? 2 : 1)} min a keeper</span>}
        <span className="to-go">
          {open} of {candidates} to go
        </span>
        {session.unsent > 0 && <span className="unsent">{session.unsent} on their way</span>}
      </p>
    </div>
  );
}

function Troubles({ session }: { session: Session }) {
  return (
    <>
      {session.signedOut && (
        <p className="problem" role="alert">
          You are no longer signed in. Your {session.unsent} unsent decisions are kept in this browser: open a new link
          (<code>pasquin curate</code>) here, and they are sent.
        </p>
      )}
      {!session.connected && !session.signedOut && (
        <p className="problem problem-quiet" role="status">
          No connection. Go on: your decisions are kept in this browser and sent when it is back.
        </p>
      )}
      {session.problem && (
        <div className="problem" role="alert">
          <p>{session.problem}</p>
          <Button size="small" look="outlined" onClick={() => session.dismiss()}>
            All right
          </Button>
        </div>
      )}
    </>
  );
}
