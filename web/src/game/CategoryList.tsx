import { useId } from "react";

import type { Category } from "../api";
import { categoryName } from "./categoryName";

type Props = { categories: Category[]; value: string | undefined; onChange: (key: string) => void };

/** The categories as a group of radio buttons; those that cannot be played are folded away, each with its reason. */
export function CategoryList({ categories, value, onChange }: Props) {
  const name = useId();
  const open = categories.filter((category) => category.reason === null);
  const closed = categories.filter((category) => category.reason !== null);
  return (
    <div className="categories-all">
      <fieldset className="categories">
        <legend className="visually-hidden">Category</legend>
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
              <span className="category-note">{note(category)}</span>
            </span>
          </label>
        ))}
      </fieldset>
      {closed.length > 0 && (
        <details className="closed">
          <summary>{closed.length === 1 ? "One more is" : `${closed.length} more are`} not ready yet</summary>
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

function note(category: Category): string {
  const cards = `${category.cards.toLocaleString()} cards`;
  return category.account ? cards : `everybody in it · ${cards}`;
}
