import { useState } from "react";

import { languageNames, useWords } from "../i18n";
import { setSound, soundIsOn } from "./sound";

/** What is always true of the page, its language, and its sound. */
export function Footer() {
  const t = useWords();
  const [on, setOn] = useState(soundIsOn);
  return (
    <footer className="footer">
      <p>{t("footer")}</p>
      <p className="footer-tools">
        <select aria-label={t("choose_language")} value={t.language} onChange={(event) => t.setLanguage(event.target.value)}>
          {Object.entries(languageNames).map(([code, name]) => (
            <option key={code} value={code} lang={code}>
              {name}
            </option>
          ))}
        </select>
        <button
          type="button"
          aria-pressed={on}
          onClick={() => {
            setSound(!on);
            setOn(!on);
          }}
        >
          {t(on ? "sound_on" : "sound_off")}
        </button>
      </p>
    </footer>
  );
}
