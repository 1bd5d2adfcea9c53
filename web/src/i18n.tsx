/** The words of the page in the player's language; a file in `locales/` is all a new language needs. */
import { createContext, Fragment, type ReactNode, useContext, useEffect, useState } from "react";

import english from "./locales/en.json";

export type Key = keyof typeof english;
type Plural<K> = K extends `${infer Stem}_other` ? Stem : never;
type Words = Record<string, string>;

const files = import.meta.glob<{ default: Words }>(["./locales/*.json", "!./locales/en.json"]);
/** Codes of the languages there are files for. */
export const languages: string[] = ["en", ...Object.keys(files).map((path) => path.replace(/^.*\/|\.json$/g, ""))];
/** What the languages are called in themselves. */
export const languageNames = (code: string): string => new Intl.DisplayNames([code], { type: "language" }).of(code) ?? code;

export type Translate = {
  (key: Key, values?: Record<string, string | number>): string;
  /** As `t`, with the form of `stem` that `count` asks for. */
  count: (stem: Plural<Key>, count: number, values?: Record<string, string | number>) => string;
  /** As `t`, with elements in the places of `values`. */
  rich: (key: Key, values: Record<string, ReactNode>) => ReactNode;
  language: string;
  setLanguage: (code: string) => void;
};

const Language = createContext<Translate | null>(null);

export function useWords(): Translate {
  return useContext(Language)!;
}

const STORED = "pasquin-language";

/** The language once chosen; none where the browser gives a frame no storage. */
function stored(): string | null {
  try {
    return localStorage.getItem(STORED);
  } catch {
    return null;
  }
}

/** The stored language, else the first of the browser's that there is a file for. */
function preferred(): string {
  const wanted = [stored(), ...navigator.languages.map((code) => code.split("-")[0])];
  return wanted.find((code): code is string => code != null && languages.includes(code)) ?? "en";
}

export function LanguageProvider({ children }: { children: ReactNode }) {
  const [language, setLanguage] = useState(preferred);
  const [loaded, setLoaded] = useState<{ language: string; words: Words }>({ language: "en", words: english });
  useEffect(() => {
    let current = true;
    void (language === "en" ? Promise.resolve({ default: english as Words }) : files[`./locales/${language}.json`]!())
      .then(({ default: words }) => current && setLoaded({ language, words }))
      .catch(() => undefined); // English stays
    return () => {
      current = false;
    };
  }, [language]);
  const choose = (code: string) => {
    setLanguage(code);
    try {
      localStorage.setItem(STORED, code);
    } catch {
      // Chosen for this visit, then.
    }
  };
  return <Language value={translator(loaded.language, loaded.words, choose)}>{children}</Language>;
}

function translator(language: string, words: Words, setLanguage: (code: string) => void): Translate {
  const plural = new Intl.PluralRules(language);
  const numbers = new Intl.NumberFormat(language);
  const find = (key: string): string => words[key] ?? (english as Words)[key] ?? key;
  const fill = (text: string, values: Record<string, string | number> = {}): string =>
    text.replace(/\{(\w+)\}/g, (place, name: string) => {
      const value = values[name];
      return typeof value === "number" ? numbers.format(value) : (value ?? place);
    });
  const t = (key: Key, values?: Record<string, string | number>) => fill(find(key), values);
  return Object.assign(t, {
    count: (stem: string, count: number, values = {}) =>
      fill(words[`${stem}_${plural.select(count)}`] ?? find(`${stem}_other`), { count, ...values }),
    rich: (key: Key, values: Record<string, ReactNode>) =>
      find(key)
        .split(/\{(\w+)\}/)
        .map((part, at) => <Fragment key={at}>{at % 2 ? values[part] : part}</Fragment>),
    language,
    setLanguage,
  });
}

/** A share as the language writes it: 12%. */
export function percent(language: string, share: number): string {
  return new Intl.NumberFormat(language, { style: "percent" }).format(share);
}
