import { type Category, serverless } from "../api";
import { useWords } from "../i18n";
import { IconButton, PlainButton } from "../ui/buttons";
import { useDark } from "../ui/colours";
import { categoryName } from "./categoryName";
import { BoardIcon, ChevronIcon, InfoIcon, MoonIcon, SunIcon } from "./icons";

type Props = { category: Category | undefined; onChoose: () => void; onBoards: () => void; onAbout: () => void };

export function Header({ category, onChoose, onBoards, onAbout }: Props) {
  const t = useWords();
  return (
    <header className="header">
      <div className="wordmark">Pasquin</div>
      <div className="header-tools">
        {category && (
          <PlainButton className="category-button" onClick={onChoose} aria-haspopup="dialog">
            <span className="visually-hidden">{t("category")}: </span>
            <bdi className="ellipsis">{categoryName(category)}</bdi>
            <ChevronIcon />
          </PlainButton>
        )}
        {category && !serverless && (
          <IconButton className="tool" aria-label={t("boards")} onClick={onBoards}>
            <BoardIcon />
          </IconButton>
        )}
        <ColourToggle />
        <IconButton className="tool" aria-label={t("about")} onClick={onAbout}>
          <InfoIcon />
        </IconButton>
      </div>
    </header>
  );
}

/** Light or dark. */
export function ColourToggle() {
  const t = useWords();
  const [dark, chooseDark] = useDark();
  return (
    <IconButton
      className="tool"
      aria-label={t(dark ? "light" : "dark")}
      onClick={() => chooseDark(!dark)}
    >
      {dark ? <SunIcon /> : <MoonIcon />}
    </IconButton>
  );
}
