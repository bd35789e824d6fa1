// Who is signed in, with the way out. Watches, too, whether the session still lasts: a page left open after its
// end says so instead of failing.

const EVERY = 10_000; // ms between two looks
const watch = (window.__replabSession ??= { timer: 0, last: 0, over: false });

const node = (tag, className, text) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
};
const signIn = () => `/lab/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`;

function say() {
  if (watch.over) return;
  watch.over = true;
  clearInterval(watch.timer);
  const dark = getComputedStyle(document.documentElement).colorScheme.includes("dark") || matchMedia("(prefers-color-scheme: dark)").matches;
  const cover = node("div");
  cover.id = "replab-signed-out";
  cover.setAttribute("role", "alertdialog");
  cover.setAttribute("aria-modal", "true");
  cover.setAttribute("aria-label", "You are signed out");
  cover.style.cssText = "position:fixed;inset:0;z-index:2147483647;display:grid;place-items:center;padding:1rem;background:rgb(17 17 24 / 0.6);font-family:Inter,'Helvetica Neue',Arial,sans-serif";
  const box = node("div");
  box.style.cssText = `max-width:24rem;padding:1.6rem;border-radius:0.9rem;line-height:1.5;font-size:15px;background:${dark ? "#16161F" : "#FCFCFD"};color:${dark ? "#EDEEF0" : "#1C2024"};border:1px solid ${dark ? "#2E2E3E" : "#E0E1E9"}`;
  const title = node("div", "", "You are signed out");
  title.style.cssText = "font-size:1.25rem;font-weight:650;letter-spacing:-0.015em;margin-bottom:0.3rem";
  const link = node("a", "", "Sign in");
  link.href = signIn();
  link.style.cssText = `display:inline-block;margin-top:1.1rem;padding:0.5rem 1.3rem;border-radius:99px;font-weight:600;text-decoration:none;background:${dark ? "#8C8CFF" : "#5B5BD6"};color:${dark ? "#111118" : "#FFFFFF"}`;
  box.append(title, node("div", "", "Sign in to go on; your data sets and runs are safe, and what was running goes on."), link);
  cover.append(box);
  document.body.append(cover);
  link.focus();
}

async function look() {
  watch.last = Date.now();
  try {
    const answer = await fetch("/lab/who", { cache: "no-store" });
    if (answer.status === 401) say();
  } catch { /* the network is away: Streamlit says so itself */ }
}

function keepLooking() {
  if (watch.timer) return;
  watch.timer = setInterval(() => { if (!document.hidden) look(); }, EVERY);
  const soon = () => { if (!watch.over && Date.now() - watch.last > 2000) look(); };
  addEventListener("focus", soon);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) soon(); });
  document.addEventListener("click", soon, true);
}

async function leave(button) {
  button.disabled = true;
  try {
    const answer = await fetch("/lab/sign-out", { method: "POST", headers: { "X-Replab": "1" } });
    if (!answer.ok) throw new Error();
    watch.over = true; // this page leaves at once
    location.assign((await answer.json()).to);
  } catch { button.disabled = false; button.textContent = "Sign out (try again)"; }
}

export default function (component) {
  const { data, parentElement } = component;
  const root = parentElement.querySelector(".person");
  const out = node("button", "", "Sign out");
  out.type = "button";
  out.addEventListener("click", () => leave(out));
  const name = node("div", "name", data.name);
  name.title = data.name;
  const links = node("div", "links");
  if (data.password) {
    const change = node("a", "", "Change password");
    change.href = "/lab/password";
    change.target = "_self";
    links.append(change);
  }
  links.append(out);
  root.replaceChildren(name, node("div", "role", data.role), links);
  keepLooking();
}
