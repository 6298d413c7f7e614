// Numbers and times as people read them.

/** 75.25 -> "1:15.25"; with hours from one hour on. */
export function clock(seconds, decimals = 2) {
  if (!Number.isFinite(seconds)) return "–:––";
  const scale = 10 ** decimals;
  const units = Math.round(Math.max(seconds, 0) * scale);
  const whole = Math.floor(units / scale);
  const two = (value) => String(value).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const head = hours ? `${hours}:${two(minutes)}` : `${minutes}`;
  const rest = decimals ? `.${String(units % scale).padStart(decimals, "0")}` : "";
  return `${head}:${two(whole % 60)}${rest}`;
}

/** 130 -> "about 2 min"; what is left of a job. */
export function roughly(seconds) {
  if (seconds < 10) return "a few seconds";
  if (seconds < 90) return `about ${Math.ceil(seconds / 5) * 5} s`;
  if (seconds < 5400) return `about ${Math.round(seconds / 60)} min`;
  return `about ${(seconds / 3600).toFixed(1)} h`;
}

export const grouped = (number) => Math.round(number).toLocaleString("en");

export const counted = (count, one, many = `${one}s`) =>
  `${grouped(count)} ${count === 1 ? one : many}`;

/** 8.93 -> "8.9", 31.2 -> "31". */
export const rate = (value) => (value < 20 ? value.toFixed(1) : String(Math.round(value)));

/** What a job has done so far, in one line. */
export function progressText({ frames, total, fps, eta_s: eta }) {
  const parts = [total ? `${grouped(frames)} of ${grouped(total)} frames` : counted(frames, "frame")];
  if (fps) parts.push(`${rate(fps)} frames/s`);
  if (eta !== null && eta !== undefined) parts.push(`${roughly(eta)} left`);
  return parts.join(" · ");
}

/** What is known of a job's video, in one line. */
export function videoText(job) {
  const parts = [];
  if (job.video) {
    parts.push(`${job.video.width} × ${job.video.height}`);
    if (job.video.fps) parts.push(`${Number(job.video.fps.toFixed(2))} fps`);
    if (job.video.duration_s) parts.push(clock(job.video.duration_s, 1));
  }
  if (job.people !== null && job.people !== undefined) {
    parts.push(counted(job.people, "person", "people"));
  }
  if (job.model) parts.push(job.model);
  return parts.join(" · ");
}
