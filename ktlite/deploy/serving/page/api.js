// Questions to the server.

const BUSY = 503, PATIENCE = 20;
let key = "";

export function setKey(value) { key = value; }

/** Asks the server; raises an Error with its message and status where it refuses. */
export async function ask(path, body, signal) {
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  const options = { headers, signal };
  if (body !== undefined) {
    options.method = "POST";
    if (body instanceof FormData) {
      options.body = body; // the browser says what stands between its parts
    } else {
      options.body = JSON.stringify(body);
      headers["Content-Type"] = "application/json";
    }
  }
  for (let attempt = 0; ; attempt++) {
    let response;
    try {
      response = await fetch(path, options);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Error("The server cannot be reached.");
    }
    if (response.status === BUSY && attempt < PATIENCE) {
      const seconds = Number(response.headers.get("Retry-After")) || 1;
      await new Promise((done) => setTimeout(done, 1000 * seconds));
      continue;
    }
    const answer = await response.json().catch(() => ({}));
    if (response.ok) return answer;
    const said = answer.detail ? String(answer.detail) : `The server answered ${response.status}.`;
    throw Object.assign(new Error(said), { status: response.status });
  }
}
