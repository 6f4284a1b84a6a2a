// Trade a token for a cookie that no script can read, or give the cookie back.

const find = (selector) => document.querySelector(selector);

const post = async (path, headers) => {
  try {
    const answer = await fetch(path, { method: "POST", headers });
    return answer.ok ? "" : await answer.text();
  } catch {
    return "The gateway does not answer.";
  }
};

find("#login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const token = find("#token").value.trim();
  // A header has no other characters; the server would refuse them too.
  const problem = /^[!-~]+$/.test(token)
    ? await post("/login", { Authorization: `Bearer ${token}` })
    : "This is not a token.";
  find("#problem").textContent = problem;
  if (!problem) location.replace("/");
});

find("#logout").addEventListener("click", async () => {
  find("#problem").textContent = (await post("/logout", {})) || "You are logged out.";
});

// Before this, a submission would be the browser's own.
find("#login").dataset.ready = "";
