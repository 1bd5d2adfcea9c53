import { useId } from "react";

import type { Category } from "../api";
import { type Translate, useWords } from "../i18n";
import { categoryName } from "./categoryName";

type Props = { categories: Category[]; value: string | undefined; onChange: (key: string) => void };

/** The categories as a group of radio buttons; those that cannot be played are folded away, each with its reason. */
export function CategoryList({ categories, value, onChange }: Props) {
  const t = useWords();
  const name = useId();
  const open = categories.filter((category) => category.reason === null);
  const closed = categories.filter((category) => category.reason !== null);
  const several = new Set(open.map((category) => category.corpus)).size > 1;
  return (
    <div className="categories-all">
      <fieldset className="categories">
        <legend className="visually-hidden">{t("category")}</legend>
        {open.map((category) => (
          <label key={category.key} className="category">
            <input
              type="radio"
              name={name}
              value={category.key}
              checked={category.key === value}
              onChange={() => onChange(category.key)}
            />
            <span className="category-words">
              <bdi className="category-name">{categoryName(category)}</bdi>
              <span className="category-note">{note(category, several, t)}</span>
            </span>
          </label>
        ))}
      </fieldset>
      {closed.length > 0 && (
        <details className="closed">
          <summary>{t.count("not_ready", closed.length)}</summary>
          <ul>
            {closed.map((category) => (
              <li key={category.key}>
                <bdi className="category-name">{categoryName(category)}</bdi>
                <span className="category-note">{category.reason}</span>
              </li>
            ))}
          </ul>
        </details>
      )}
    </div>
  );
}

/** How many cards; and, where accounts of `several` corpora may have one name, whose account it is. */
function note(category: Category, several: boolean, t: Translate): string {
  const cards = t.count("cards", category.cards);
  if (!category.account) return t("everybody", { cards });
  return several ? `${category.corpus} · ${cards}` : cards;
}
