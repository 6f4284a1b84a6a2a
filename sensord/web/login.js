// Trade a token for a cookie that no script can read, or give the cookie back.

import { text, translate } from "./text.js";

const find = (selector) => document.querySelector(selector);

const post = async (path, headers) => {
  try {
    const answer = await fetch(path, { method: "POST", headers });
    return answer.ok ? "" : await answer.text();
  } catch {
    return text.noAnswer;
  }
};

find("#login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const token = find("#token").value.trim();
  // A header has no other characters; the server would refuse them too.
  const problem = /^[!-~]+$/.test(token)
    ? await post("/login", { Authorization: `Bearer ${token}` })
    : text.badToken;
  find("#problem").textContent = problem;
  if (!problem) location.replace("/");
});

find("#logout").addEventListener("click", async () => {
  find("#problem").textContent = (await post("/logout", {})) || text.loggedOut;
});

translate();
document.title = `${text.logIn} · sensord`;
// Before this, a submission would be the browser's own.
find("#login").dataset.ready = "";
