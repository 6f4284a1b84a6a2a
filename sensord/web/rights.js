// What this session may do, so that a view offers nothing else.

/** Whether a filter selects a topic or name. */
export function selects(filter, topic) {
  const wanted = filter.split("/"), levels = topic.split("/");
  if (topic.startsWith("$") && !wanted[0].startsWith("$")) return false;
  for (let i = 0; i < wanted.length; i++) {
    if (wanted[i] === "#") return true;
    if (i >= levels.length || (wanted[i] !== "+" && wanted[i] !== levels[i])) return false;
  }
  return wanted.length === levels.length;
}

/** Whether an action, such as `write`, is allowed for one topic or name. */
export function may(client, action, subject) {
  const rights = client.welcome?.rights;
  return !rights || rights.admin || rights[action].some((filter) => selects(filter, subject));
}

/** Whether everything is allowed. */
export const mayAll = (client) => !client.welcome?.rights || client.welcome.rights.admin;
