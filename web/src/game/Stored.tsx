/** What is kept of a player, in the words of the first screen. */
export function Stored() {
  return (
    <div className="stored">
      <strong>What is stored:</strong> your guesses and how long each took, under a random number that a cookie remembers.
      No name, no internet address. They show how human the AI sounds. You can erase them at any time.
    </div>
  );
}
