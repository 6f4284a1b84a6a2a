// A small curve of the last values.

/** Draw points of `[time, value]` into a canvas; returns its `[least, greatest]`. */
export function sketch(canvas, points, width = 136, height = 24) {
  const ratio = devicePixelRatio || 1;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const values = points.map(([, value]) => value);
  const low = Math.min(...values), high = Math.max(...values), first = points[0][0];
  const wide = Math.max(1, points.at(-1)[0] - first);
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  pen.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue("--spark");
  pen.lineWidth = 1.25;
  pen.beginPath();
  points.forEach(([time, value], i) => {
    const x = 2 + (width - 4) * (time - first) / wide;
    const y = high === low ? height / 2 : 3 + (height - 6) * (1 - (value - low) / (high - low));
    // What is missing is not a line.
    if (i && time - points[i - 1][0] <= 3 * wide / points.length) pen.lineTo(x, y); else pen.moveTo(x, y);
  });
  pen.stroke();
  return [low, high];
}
