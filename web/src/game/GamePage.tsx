import { Button, Loader } from "@mantine/core";
import { useDisclosure, useLocalStorage } from "@mantine/hooks";
import { useQuery, useQueryClient } from "@tanstack/react-query";

import { api, type Category, type GameState } from "../api";
import { About } from "./About";
import { CategoryChooser } from "./CategoryChooser";
import { Header } from "./Header";
import { Notice } from "./Notice";
import { Play } from "./Play";
import { StartScreen } from "./StartScreen";
import { useSlow } from "./useSlow";

const LOOK_AGAIN_MS = 4_000;

/** The whole page: what the server says decides which screen is shown. */
export function GamePage() {
  const queries = useQueryClient();
  const [aboutOpen, about] = useDisclosure(false);
  const [chooserOpen, chooser] = useDisclosure(false);
  const [wanted, setWanted] = useLocalStorage({ key: "pasquin-category", defaultValue: "", getInitialValueInEffect: false });
  const state = useQuery({
    queryKey: ["state"],
    queryFn: api.state,
    refetchInterval: (query) => (query.state.error || query.state.data?.setup ? LOOK_AGAIN_MS : false),
  });
  const category = chosen(state.data, wanted);
  const playing = Boolean(state.data?.score && category);

  const begun = () => queries.invalidateQueries({ queryKey: ["state"] });
  const erased = () => {
    about.close();
    queries.removeQueries({ queryKey: ["round"] });
    void queries.invalidateQueries({ queryKey: ["state"] });
  };

  return (
    <div className="page">
      <Header
        category={playing ? category : undefined}
        onChoose={chooser.open}
        onAbout={about.open}
      />
      <main className="main">
        <Screen
          state={state.data}
          failed={state.isError}
          retry={() => void state.refetch()}
          category={category}
          setCategory={setWanted}
          onStarted={begun}
          onChoose={chooser.open}
        />
      </main>
      <footer className="footer">
        Some of these texts were written by people, some by an AI that imitates them.
      </footer>
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
  onStarted: () => void;
  onChoose: () => void;
};

function Screen({ state, failed, retry, category, setCategory, onStarted, onChoose }: ScreenProps) {
  const slow = useSlow(!state && !failed);
  if (failed && !state) {
    return (
      <Notice title="The game is out of reach" tone="trouble" action={<Button onClick={retry}>Try again now</Button>}>
        Its server does not answer. It may be starting, or your connection is down. This page keeps trying by itself.
      </Notice>
    );
  }
  if (!state) {
    return (
      <div className="waiting" role="status">
        <Loader color="var(--ink-soft)" size="sm" aria-hidden />
        <span>{slow ? "The server is slow to answer. Hold on …" : "Loading …"}</span>
      </div>
    );
  }
  if (state.setup || !category) {
    return (
      <Notice title="No cards yet" tone="quiet">
        <p>{state.setup?.message ?? "No category can be played at the moment."}</p>
        {state.setup && (
          <p>
            Next: <code className="command">{state.setup.command}</code>
          </p>
        )}
        <p className="soft">This page looks again every few seconds.</p>
      </Notice>
    );
  }
  if (!state.score) {
    return <StartScreen categories={state.categories} value={category.key} onChange={setCategory} onStarted={onStarted} />;
  }
  const others = state.categories.some((other) => other.reason === null && other.key !== category.key);
  return (
    <Play
      key={category.key}
      category={category}
      score={state.score}
      onLost={onStarted}
      onChoose={others ? onChoose : undefined}
    />
  );
}

/** The wanted category when it can be played, else the first that can. */
function chosen(state: GameState | undefined, wanted: string): Category | undefined {
  const open = state?.categories.filter((category) => category.reason === null) ?? [];
  return open.find((category) => category.key === wanted) ?? open[0];
}
