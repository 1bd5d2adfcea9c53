import { Button } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";

import { api, type Category } from "../api";
import { CategoryList } from "./CategoryList";
import { Stored } from "./Stored";

type Props = { categories: Category[]; value: string; onChange: (key: string) => void; onStarted: () => void };

/** The first screen: what this is, what is stored, and starting as consent. */
export function StartScreen({ categories, value, onChange, onStarted }: Props) {
  const start = useMutation({ mutationFn: api.start, onSuccess: onStarted });
  return (
    <section className="start">
      <h1>Human or AI?</h1>
      <p className="lead">
        A person wrote some of these posts. An AI that learned from them made up the others. You see one at a time,
        without a name, a picture or a date. Which is it?
      </p>
      {categories.length > 1 && (
        <>
          <h2>Whose posts?</h2>
          <CategoryList categories={categories} value={value} onChange={onChange} />
        </>
      )}
      <Stored />
      {start.isError && (
        <p className="problem" role="alert">
          {start.error.message} Nothing is lost: try again.
        </p>
      )}
      <Button className="primary" size="lg" fullWidth loading={start.isPending} onClick={() => start.mutate()}>
        Start playing
      </Button>
      <p className="soft small">By starting you agree to that. No account, no e-mail. Please don’t search the web for the posts.</p>
    </section>
  );
}
