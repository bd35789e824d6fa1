// One upload at a time and key: drop or choose a file, or a folder that is packed into a tar on the way.
// The job lives beside the page, so that leaving the page and coming back finds it again.

const jobs = (window.__replabUploads ??= new Map());
const views = new WeakMap();
const ICON = '<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d="M12 15V4m0 0L8 8m4-4 4 4M4 15v3a2 2 0 0 0 2 2h12a2 2 0 0 0 2-2v-3"/></svg>';

const node = (tag, className, text) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
};
const size = (bytes) => {
  for (const unit of ["B", "kB", "MB"]) { if (bytes < 999.5) return `${unit === "B" || bytes >= 99.95 ? Math.round(bytes) : bytes.toFixed(1)} ${unit}`; bytes /= 1000; }
  return `${bytes.toFixed(1)} GB`;
};
const time = (seconds) => (seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.round(seconds / 60)} min`);

// --- a tar of File objects; their bytes are never read into memory here -------------------------------------------

function header(name, bytes, type) {
  const block = new Uint8Array(512), encoder = new TextEncoder();
  const put = (text, at) => block.set(encoder.encode(text), at);
  const octal = (value, width, at) => put(value.toString(8).padStart(width - 1, "0") + "\0", at);
  block.set(encoder.encode(name).slice(0, 100), 0);
  octal(0o644, 8, 100); octal(0, 8, 108); octal(0, 8, 116); octal(bytes, 12, 124); octal(0, 12, 136);
  put("        ", 148); put(type, 156); put("ustar\0" + "00", 257);
  octal(block.reduce((sum, value) => sum + value, 0), 7, 148);
  return block;
}

function record(key, value) {  // "<length> key=value\n", where length counts itself
  const bytes = new TextEncoder().encode(` ${key}=${value}\n`).length;
  let length = bytes + String(bytes).length;
  length = bytes + String(length).length;
  return new TextEncoder().encode(`${length} ${key}=${value}\n`);
}

const padding = (bytes) => new Uint8Array((512 - (bytes % 512)) % 512);

function tar(entries) {
  const parts = [];
  for (const { path, file } of entries) {
    if (new TextEncoder().encode(path).length > 100 || /[^\x20-\x7e]/.test(path)) {
      const pax = record("path", path);
      parts.push(header("PaxHeader", pax.length, "x"), pax, padding(pax.length));
    }
    parts.push(header(path, file.size, "0"), file, padding(file.size));
  }
  parts.push(new Uint8Array(1024));
  return new Blob(parts, { type: "application/x-tar" });
}

// --- what was dropped or chosen ----------------------------------------------------------------------------------

async function walk(entry, prefix, found, most) {
  if (found.length > most) return;
  if (entry.isFile) {
    found.push({ path: prefix + entry.name, file: await new Promise((ok, bad) => entry.file(ok, bad)) });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const batch = await new Promise((ok, bad) => reader.readEntries(ok, bad));
    if (!batch.length) return;
    for (const child of batch) await walk(child, `${prefix}${entry.name}/`, found, most);
  }
}

function pack(entries, name, data) {
  const total = entries.reduce((sum, entry) => sum + entry.file.size, 0);
  const advice = data.server_folder ? "pack it as a zip, or add it as a folder on this machine" : "pack it as a zip";
  if (!entries.length) throw new Error("The folder is empty: it needs images, in one sub-folder a class.");
  if (entries.length > data.max_files)
    throw new Error(`The folder has more than ${data.max_files.toLocaleString("en")} files: ${advice}.`);
  if (total > Math.min(data.limit, data.max_folder_bytes))
    throw new Error(`The folder holds ${size(total)}, more than ${size(Math.min(data.limit, data.max_folder_bytes))}: ${advice}.`);
  return { blob: tar(entries), name: `${name}.tar`, shown: `${name} · ${entries.length.toLocaleString("en")} files` };
}

function single(file, data) {
  if (!data.extensions.some((suffix) => file.name.toLowerCase().endsWith(suffix)))
    throw new Error(`“${file.name.slice(0, 80)}” is of another kind: choose ${data.kinds}.`);
  if (file.size > data.limit) throw new Error(`The file has ${size(file.size)}, more than ${size(data.limit)}${data.server_folder ? ": add it as a folder on this machine instead" : ""}.`);
  if (!file.size) throw new Error("The file is empty.");
  return { blob: file, name: file.name, shown: file.name };
}

async function dropped(transfer, data) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const files = [...transfer.files];
  const folder = entries.some((entry) => entry.isDirectory);
  if (!folder && files.length === 1) {
    const image = data.folders && /\.(jpe?g|png|gif|bmp|webp|tiff?)$/i.test(files[0].name);
    if (!image) return single(files[0], data);
  }
  if (!data.folders) throw new Error("Drop one file at a time here.");
  if (!entries.length) throw new Error("Only files and folders can be dropped here.");
  const found = [];
  for (const entry of entries) await walk(entry, "", found, data.max_files);
  return pack(found, entries.length === 1 && folder ? entries[0].name : "images", data);
}

// --- sending -----------------------------------------------------------------------------------------------------

function send(job, item, data) {
  const request = new XMLHttpRequest();
  Object.assign(job, { state: "sending", shown: item.shown, sent: 0, total: item.blob.size, started: performance.now(), request });
  request.open("PUT", data.url);
  request.setRequestHeader("X-Replab", "1");
  request.setRequestHeader("X-File-Name", encodeURIComponent(item.name));
  if (data.then) request.setRequestHeader("X-Then", data.then);
  if (data.options) request.setRequestHeader("X-Options", encodeURIComponent(JSON.stringify(data.options)));
  request.upload.onprogress = (event) => { job.sent = event.loaded; job.draw?.(); };
  const end = (fields) => { Object.assign(job, fields); window.removeEventListener("beforeunload", stay); job.draw?.(); };
  const stay = (event) => event.preventDefault();
  window.addEventListener("beforeunload", stay);
  request.onload = () => {
    let answer = {};
    try { answer = JSON.parse(request.responseText); } catch { /* not ours: the sentence below */ }
    if (request.status === 200) end({ state: "done", result: answer });
    else end({ state: "idle", error: answer.error || "The server did not take the file: try again." });
  };
  request.onerror = () => end({ state: "idle", error: "The upload broke off: is the app still running? Then try again." });
  request.onabort = () => end({ state: "idle", error: "" });
  request.send(item.blob);
}

// --- drawing -----------------------------------------------------------------------------------------------------

function button(text, action, className) {
  const element = node("button", className, text);
  element.type = "button";
  element.onclick = action;
  return element;
}

function idle(root, job, data) {
  const zone = node("div", "zone"), buttons = node("div", "buttons");
  const begin = async (make) => {
    try { send(job, await make(), data); } catch (problem) { job.error = problem.message || "This cannot be read."; }
    job.draw?.();
  };
  const file = node("input"), folder = node("input");
  file.type = folder.type = "file";
  file.accept = data.extensions.map((suffix) => "." + suffix.split(".").pop()).join(",");
  file.onchange = () => file.files.length && begin(async () => single(file.files[0], data));
  folder.webkitdirectory = true;
  folder.onchange = () => begin(async () => {
    const entries = [...folder.files].map((each) => ({ path: each.webkitRelativePath || each.name, file: each }));
    return pack(entries, entries[0]?.path.split("/")[0] || "images", data);
  });
  if (job.error) zone.append(node("div", "error", job.error));
  const icon = node("div");
  icon.innerHTML = ICON;
  zone.append(icon, node("div", "title", data.title), node("div", "hint", data.hint), file);
  buttons.append(button("Choose a file", () => file.click(), "first"));
  if (data.folders) { zone.append(folder); buttons.append(button("Choose a folder", () => folder.click())); }
  zone.append(buttons);
  zone.ondragover = (event) => { event.preventDefault(); zone.classList.add("over"); };
  zone.ondragleave = (event) => { if (!zone.contains(event.relatedTarget)) zone.classList.remove("over"); };
  zone.ondrop = (event) => { event.preventDefault(); zone.classList.remove("over"); begin(() => dropped(event.dataTransfer, data)); };
  root.replaceChildren(zone);
}

function sending(root, job) {
  if (!root.querySelector(".job")) {
    const box = node("div", "job"), row = node("div", "row"), bar = node("div", "bar");
    bar.append(node("i"));
    bar.setAttribute("role", "progressbar");
    row.append(node("b", "", job.shown), button("Cancel", () => job.request.abort()));
    box.append(row, bar, node("div", "note"));
    root.replaceChildren(box);
  }
  const share = job.total ? job.sent / job.total : 0, seconds = (performance.now() - job.started) / 1000;
  root.querySelector(".bar i").style.width = `${(100 * share).toFixed(1)}%`;
  root.querySelector(".bar").setAttribute("aria-valuenow", Math.round(100 * share));
  const left = share > 0.02 && share < 1 ? ` · about ${time((seconds * (1 - share)) / share)} left` : "";
  root.querySelector(".note").textContent = share >= 1 ? "Sent; the server is closing the file…" : `${size(job.sent)} of ${size(job.total)}${left}`;
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".upload");
  if (!jobs.has(data.key)) jobs.set(data.key, { state: "idle", error: "" });
  const job = jobs.get(data.key);
  const draw = () => {
    if (job.state === "sending") return sending(root, job);
    if (job.state === "done") {
      jobs.set(data.key, { state: "idle", error: "" });
      setTriggerValue("finished", job.result);
      root.replaceChildren(node("div", "note", "The file has arrived."));
      return;
    }
    idle(root, job, data);
  };
  job.draw = draw;
  const before = views.get(root), seen = JSON.stringify(data);
  if (!before || before.job !== job || before.seen !== seen) draw();
  views.set(root, { job, seen });
  return () => { if (job.draw === draw) job.draw = null; };
}
