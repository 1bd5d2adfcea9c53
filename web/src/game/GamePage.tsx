import { useQuery, useQueryClient } from "@tanstack/react-query";
import { lazy, Suspense, useEffect } from "react";

import { api, type Category, type GameState, type Mode, type Reveal } from "../api";
import { useWords } from "../i18n";
import { Button, Spinner } from "../ui/buttons";
import { useOpened, useStored } from "../ui/state";
import { About } from "./About";
import { CategoryChooser } from "./CategoryChooser";
import { chosenCategory, chosenMode, STORED_CATEGORY, STORED_MODE } from "./chosen";
import { Dialog } from "./Dialog";
import { Footer } from "./Footer";
import { Header } from "./Header";
import { ModeBar } from "./ModeBar";
import { Notice } from "./Notice";
import { Play } from "./Play";
import { StartScreen } from "./StartScreen";
import { useSlow } from "./useSlow";

const Boards = lazy(() => import("./Boards"));

const LOOK_AGAIN_MS = 4_000;
/** So long after it came, what the page started with is not asked for a second time. */
const FRESH_MS = 2_000;

/** The whole page: what the server says decides which screen is shown. */
export function GamePage() {
  const t = useWords();
  const queries = useQueryClient();
  const [boardsOpen, boards] = useOpened();
  const [aboutOpen, about] = useOpened();
  const [chooserOpen, chooser] = useOpened();
  const [wanted, setWanted] = useStored(STORED_CATEGORY, "");
  const [wantedMode, setMode] = useStored(STORED_MODE, "classic");
  const state = useQuery({
    queryKey: ["state"],
    queryFn: api.state,
    staleTime: FRESH_MS,
    refetchInterval: (query) => (query.state.error || query.state.data?.setup ? LOOK_AGAIN_MS : false),
  });
  useEffect(() => {
    document.documentElement.lang = t.language;
    document.title = `${t("title")} · Pasquin`;
  }, [t]);
  const category = chosenCategory(state.data, wanted);
  const mode = chosenMode(category, wantedMode);
  const playing = Boolean(state.data?.score && category);

  const begun = () => queries.invalidateQueries({ queryKey: ["state"] });
  const erased = () => {
    about.close();
    queries.setQueryData<GameState>(["state"], (now) => now && { ...now, score: null, player: null });
    void queries.invalidateQueries({ queryKey: ["state"] });
  };

  return (
    <div className="page">
      <Header
        category={playing ? category : undefined}
        onChoose={chooser.open}
        onBoards={() => {
          void begun();
          boards.open();
        }}
        onAbout={about.open}
      />
      <main className="main">
        <Screen
          state={state.data}
          failed={state.isError}
          retry={() => void state.refetch()}
          category={category}
          setCategory={setWanted}
          mode={mode}
          setMode={setMode}
          onStarted={begun}
          onChoose={chooser.open}
        />
      </main>
      <Footer />
      <Dialog opened={boardsOpen} onClose={boards.close} title={t("boards")}>
        <Suspense>
          <Boards player={state.data?.player ?? null} />
        </Suspense>
      </Dialog>
      <About opened={aboutOpen} onClose={about.close} started={Boolean(state.data?.score)} onErased={erased} />
      <CategoryChooser
        opened={chooserOpen}
        onClose={chooser.close}
        categories={state.data?.categories ?? []}
        value={category?.key}
        onChange={(key) => {
          setWanted(key);
          chooser.close();
        }}
      />
    </div>
  );
}

type ScreenProps = {
  state: GameState | undefined;
  failed: boolean;
  retry: () => void;
  category: Category | undefined;
  setCategory: (key: string) => void;
  mode: Mode;
  setMode: (mode: Mode) => void;
  onStarted: () => void;
  onChoose: () => void;
};

function Screen({ state, failed, retry, category, setCategory, mode, setMode, onStarted, onChoose }: ScreenProps) {
  const t = useWords();
  const queries = useQueryClient();
  const slow = useSlow(!state && !failed);
  if (failed && !state) {
    return (
      <Notice title={t("out_of_reach")} tone="trouble" action={<Button onClick={retry}>{t("try_again")}</Button>}>
        {t("out_of_reach_text")}
      </Notice>
    );
  }
  if (!state) {
    return (
      <div className="waiting" role="status">
        <Spinner />
        <span>{t(slow ? "slow" : "loading")}</span>
      </div>
    );
  }
  if (state.setup || !category) {
    return (
      <Notice title={t("no_cards")} tone="quiet">
        <p>{state.setup?.message ?? t("no_category")}</p>
        {state.setup && (
          <p>
            {t("next_step")} <code className="command">{state.setup.command}</code>
          </p>
        )}
        <p className="soft">{t("looks_again")}</p>
      </Notice>
    );
  }
  if (!state.score) {
    return <StartScreen categories={state.categories} value={category.key} onChange={setCategory} onStarted={onStarted} />;
  }
  const others = state.categories.some((other) => other.reason === null && other.key !== category.key);
  return (
    <>
      <ModeBar mode={mode} daily={category.daily} onMode={setMode} />
      <Play
        key={`${category.key} ${mode}`}
        category={category}
        mode={mode}
        score={state.score}
        bestRun={state.player?.best_run ?? 0}
        onAnswered={(reveal) => queries.setQueryData<GameState>(["state"], (now) => now && answered(now, reveal))}
        onLost={onStarted}
        onChoose={others ? onChoose : undefined}
      />
    </>
  );
}

/** What is known of the player after one more answer, without asking again. */
function answered(state: GameState, reveal: Reveal): GameState {
  const player = state.player && { ...state.player, best_run: reveal.best_run };
  return { ...state, score: reveal.score, player };
}
