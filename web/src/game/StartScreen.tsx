import { useMutation } from "@tanstack/react-query";

import { api, type Category } from "../api";
import { useWords } from "../i18n";
import { Button } from "../ui/buttons";
import { CategoryList } from "./CategoryList";
import { Stored } from "./Stored";

type Props = { categories: Category[]; value: string; onChange: (key: string) => void; onStarted: () => void };

/** The first screen: what this is, what is stored, and starting as consent. */
export function StartScreen({ categories, value, onChange, onStarted }: Props) {
  const t = useWords();
  const started = () => {
    window.scrollTo(0, 0); // the button may be far down, the game begins at the top
    onStarted();
  };
  const start = useMutation({ mutationFn: api.start, onSuccess: started });
  return (
    <section className="start">
      <h1>{t("title")}</h1>
      <p className="lead">{t("start_lead")}</p>
      {categories.length > 1 && (
        <>
          <h2>{t("whose")}</h2>
          <CategoryList categories={categories} value={value} onChange={onChange} />
        </>
      )}
      <Stored />
      {start.isError && (
        <p className="problem" role="alert">
          {t("start_failed", { message: start.error.message })}
        </p>
      )}
      <Button className="primary" size="large" wide busy={start.isPending} onClick={() => start.mutate()}>
        {t("start")}
      </Button>
      <p className="soft small">{t("start_agree")}</p>
    </section>
  );
}
