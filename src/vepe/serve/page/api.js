// Requests to the server: errors are one sentence, and a missing token is asked for.

export class ApiError extends Error {
  /** @param {number} status of HTTP; 0 if the server was not reached */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

const UNREACHABLE = "The server does not answer; check that `vepe serve` is still running.";

let askForToken = async () => false;
let asking = null;

/** @param {() => Promise<boolean>} ask opens a session; false if the user gave up */
export function onUnauthorised(ask) {
  askForToken = ask;
}

/** Asks once, however many requests wait for the answer. */
export function authorise() {
  asking ??= askForToken().finally(() => (asking = null));
  return asking;
}

/** Parsed JSON of a request, or null without content. Throws ApiError. */
export async function request(path, options = {}) {
  const response = await send(path, options);
  return response.status === 204 ? null : await response.json();
}

/** The response of a successful request. Throws ApiError. */
export async function send(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { cache: "no-store", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(UNREACHABLE, 0);
  }
  if (response.ok) return response;
  if (response.status === 401 && !options.isLogin && (await authorise())) {
    return send(path, options);
  }
  throw errorOf(response.status, await response.text());
}

export const jobPath = (id, rest = "") => `v1/jobs/${encodeURIComponent(id)}${rest}`;

/** Opens a session with a token; throws ApiError with status 401 if it is wrong. */
export async function openSession(token) {
  const headers = { "Content-Type": "application/json" };
  const body = JSON.stringify({ token });
  await send("v1/session", { method: "POST", headers, body, isLogin: true });
}

/**
 * Sends a file with fields; `fetch` cannot report how far it is.
 *
 * @param {(share: number) => void} onProgress of 0..1
 * @param {AbortSignal} signal
 */
export async function upload(path, file, fields, onProgress, signal) {
  try {
    return await uploadOnce(path, file, fields, onProgress, signal);
  } catch (error) {
    if (error.status !== 401 || !(await authorise())) throw error;
    return uploadOnce(path, file, fields, onProgress, signal);
  }
}

function uploadOnce(path, file, fields, onProgress, signal) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  form.append("file", file, file.name);
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    xhr.open("POST", path);
    xhr.upload.onprogress = (event) => event.total && onProgress(event.loaded / event.total);
    xhr.onload = () => {
      if (xhr.status >= 200 && xhr.status < 300) resolve(JSON.parse(xhr.responseText));
      else reject(errorOf(xhr.status, xhr.responseText));
    };
    xhr.onerror = () => reject(new ApiError(UNREACHABLE, 0));
    xhr.onabort = () => reject(new DOMException("The upload was stopped.", "AbortError"));
    signal?.addEventListener("abort", () => xhr.abort());
    xhr.send(form);
  });
}

function errorOf(status, text) {
  let message = null;
  try {
    message = JSON.parse(text).error;
  } catch {
    // Not from VEPE: a proxy's page, for example.
  }
  if (typeof message !== "string") message = `The server answered with an error (${status}).`;
  return new ApiError(message, status);
}
