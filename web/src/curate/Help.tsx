import { Dialog } from "../game/Dialog";

const KEYS: [string, string][] = [
  ["A or →", "accept"],
  ["R or ←", "reject"],
  ["1 to 6", "reject, and say why"],
  ["E", "edit, then Ctrl Enter accepts your words, Esc drops them"],
  ["S or ↓", "skip: it comes back last"],
  ["U or Z", "undo, as often as you like"],
  ["/", "search"],
  ["G", "many at once; there A accepts the picked, X rejects them, R rejects the rest"],
  ["P", "which of two"],
  ["T", "together: how far the curators agree"],
  ["C", "back to one at a time"],
];

/** What the keys do. */
export function Help({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  return (
    <Dialog opened={opened} onClose={onClose} title="Keys">
      <dl className="keys">
        {KEYS.map(([keys, meaning]) => (
          <div key={keys}>
            <dt>
              <kbd>{keys}</kbd>
            </dt>
            <dd>{meaning}</dd>
          </div>
        ))}
      </dl>
      <p className="soft small">
        On a phone, swipe the card: right accepts, left rejects. Decisions made without a connection are kept in this browser and sent when it is
        back.
      </p>
    </Dialog>
  );
}
