// How charts write numbers, amounts and durations; the filters of the server's templates write them the same way.

const BYTE_UNITS = ["B", "kB", "MB", "GB", "TB", "PB"]; // powers of 1,000, as everywhere in trainhub
const SPANS = [[86_400_000, "d", 3_600_000, "h"], [3_600_000, "h", 60_000, "min"], [60_000, "min", 1000, "s"], [1000, "s", 1, "ms"]];
const THOUSANDS = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];

/** At most `digits` significant digits, without trailing zeros: 0.8213, 12.5k, 3.2e-5. Null is a dash. */
export function shortNumber(value, digits = 4) {
  if (value === null || value === undefined) return "–";
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e15)) return value.toExponential(Math.max(0, digits - 2)).replace(/\.?0+e\+?/, "e");
  for (const [unit, sign] of THOUSANDS) {
    if (size >= unit && size >= 10_000) return `${Number((value / unit).toPrecision(digits))}${sign}`;
  }
  return String(Number(value.toPrecision(digits)));
}

/** An amount of bytes with its unit. */
export function byteSize(value, digits = 3) {
  let size = value, power = 0;
  while (Math.abs(size) >= 999.5 && power < BYTE_UNITS.length - 1) { size /= 1000; power += 1; }
  return `${Number(size.toPrecision(digits))} ${BYTE_UNITS[power]}`;
}

/** A duration of so many ms in its two largest units: 350 ms, 4 s, 3 min 20 s, 2 h 5 min. */
export function duration(ms) {
  const whole = Math.abs(Math.round(ms)), sign = ms < 0 ? "−" : "";
  for (const [size, unit, smaller, smallUnit] of SPANS) {
    if (whole < size) continue;
    const rest = unit === "s" ? 0 : Math.floor((whole % size) / smaller);
    const large = unit === "s" ? Number((whole / size).toPrecision(3)) : Math.floor(whole / size);
    return rest ? `${sign}${large} ${unit} ${rest} ${smallUnit}` : `${sign}${large} ${unit}`;
  }
  return whole ? `${sign}${whole} ms` : "0 s";
}

/** A value in its metric's unit: "percent" (of 0 to 1), "bytes", any other unit's sign, or none. */
export function withUnit(value, unit = "", digits = 4) {
  if (value === null || value === undefined) return "–";
  if (!Number.isFinite(value)) return String(value);
  if (unit === "percent") return `${Number((value * 100).toPrecision(Math.min(digits, 3)))} %`;
  if (unit === "bytes") return byteSize(value, Math.min(digits, 3));
  return unit ? `${shortNumber(value, digits)} ${unit}` : shortNumber(value, digits);
}
