/** The words of the page in the player's language; a file in `locales/` is all a new language needs. */
import { createContext, Fragment, type ReactNode, useContext, useEffect, useMemo, useState } from "react";

import english from "./locales/en.json";
import { store, stored } from "./ui/state";

export type Key = keyof typeof english;
type Plural<K> = K extends `${infer Stem}_other` ? Stem : never;
type Words = Record<string, string>;

const files = import.meta.glob<{ default: Words }>(["./locales/*.json", "!./locales/en.json"]);
declare const LANGUAGE_NAMES: Record<string, string>;
/** The languages there are files for, by their codes, and what each is called in itself. */
export const languageNames = LANGUAGE_NAMES;

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

/** The stored language, else the first of the browser's that there is a file for. */
function preferred(): string {
  const wanted = [stored(STORED), ...navigator.languages.map((code) => code.split("-")[0])];
  return wanted.find((code): code is string => code != null && Object.hasOwn(languageNames, code)) ?? "en";
}

export function LanguageProvider({ children }: { children: ReactNode }) {
  const [language, setLanguage] = useState(preferred);
  const [loaded, setLoaded] = useState<{ language: string; words: Words }>({ language: "en", words: english });
  useEffect(() => {
    if (language === loaded.language) return;
    let current = true;
    void (language === "en" ? Promise.resolve({ default: english as Words }) : files[`./locales/${language}.json`]!())
      .then(({ default: words }) => current && setLoaded({ language, words }))
      .catch(() => undefined); // English stays
    return () => {
      current = false;
    };
  }, [language, loaded.language]);
  const words = useMemo(() => {
    const choose = (code: string) => {
      setLanguage(code);
      store(STORED, code);
    };
    return translator(loaded.language, loaded.words, choose);
  }, [loaded]);
  return <Language value={words}>{children}</Language>;
}

/** How a language writes whole numbers and forms plurals. English of small numbers is known without `Intl`, which takes a
 * tenth of a second to get ready on a slow phone. */
function counting(language: string) {
  const plain = (number: number): boolean => language === "en" && Number.isInteger(number) && 0 <= number && number < 1000;
  let plurals: Intl.PluralRules | undefined;
  let numbers: Intl.NumberFormat | undefined;
  return {
    form: (number: number): string => {
      if (plain(number)) return number === 1 ? "one" : "other";
      plurals ??= new Intl.PluralRules(language);
      return plurals.select(number);
    },
    written: (number: number): string => {
      if (plain(number)) return String(number);
      numbers ??= new Intl.NumberFormat(language);
      return numbers.format(number);
    },
  };
}

function translator(language: string, words: Words, setLanguage: (code: string) => void): Translate {
  const { form, written } = counting(language);
  const find = (key: string): string => words[key] ?? (english as Words)[key] ?? key;
  const fill = (text: string, values: Record<string, string | number> = {}): string =>
    text.replace(/\{(\w+)\}/g, (place, name: string) => {
      const value = values[name];
      return typeof value === "number" ? written(value) : (value ?? place);
    });
  const t = (key: Key, values?: Record<string, string | number>) => fill(find(key), values);
  return Object.assign(t, {
    count: (stem: string, count: number, values = {}) =>
      fill(words[`${stem}_${form(count)}`] ?? find(`${stem}_other`), { count, ...values }),
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
