import { serverless } from "../api";
import { useWords } from "../i18n";

/** What is kept of a player, in the words of the first screen. */
export function Stored() {
  const t = useWords();
  return (
    <div className="stored">
      <strong>{t("stored_title")}</strong> {t(serverless ? "stored_here" : "stored")}
    </div>
  );
}
