/** The result as a picture of 1200 x 630, drawn here and saved by the browser. */

const WIDTH = 1200;
const HEIGHT = 630;

export async function savePicture(line: string, category: string, results: (boolean | null)[]): Promise<void> {
  const canvas = document.createElement("canvas");
  canvas.width = WIDTH;
  canvas.height = HEIGHT;
  const context = canvas.getContext("2d");
  if (!context) return;
  await document.fonts.ready;
  draw(context, line, category, results);
  const blob = await new Promise<Blob | null>((done) => canvas.toBlob(done, "image/png"));
  if (!blob) return;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = "human-or-ai.png";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function draw(context: CanvasRenderingContext2D, line: string, category: string, results: (boolean | null)[]): void {
  const serif = '"Fraunces Variable", Georgia, serif';
  context.fillStyle = "#f4f0e8";
  context.fillRect(0, 0, WIDTH, HEIGHT);
  context.fillStyle = "#211c16";
  context.font = `600 44px ${serif}`;
  context.fillText("Pasquin", 80, 120);
  context.font = `580 68px ${serif}`;
  context.fillText(line, 80, 290, WIDTH - 160);
  const side = 84;
  results.forEach((right, at) => {
    context.fillStyle = right === null ? "#d8d0c2" : right ? "#22693f" : "#a02a21";
    context.beginPath();
    context.roundRect(80 + at * (side + 16), 350, side, side, 14);
    context.fill();
  });
  context.fillStyle = "#675f54";
  context.font = '500 34px "Figtree Variable", sans-serif';
  context.fillText(`${category} · ${window.location.host}`, 80, 540, WIDTH - 160);
}
