// The status page of Porthole's private side. It asks for everything with the
// operator's token, if there is one, and shows what it gets as text: no answer
// ever becomes markup.

const every = 2000; // ms between two looks
const patience = 8000; // ms that an answer may take
const hour = 3600_000;

const $ = (id) => document.getElementById(id);
const samples = [];
let token = sessionStorage.getItem("token") ?? "";
let timer = 0;

// ask fetches one path. A refusal throws an Error with the server's own words.
async function ask(path, options = {}) {
  const headers = { ...options.headers };
  if (token) headers.Authorization = `Bearer ${token}`;
  const answer = await fetch(path, { ...options, headers, cache: "no-store", redirect: "error", signal: AbortSignal.timeout(patience) });
  if (answer.ok) return answer;
  const refusal = await answer.json().catch(() => ({}));
  throw Object.assign(new Error(refusal.error ?? `status ${answer.status}`), { status: answer.status });
}

const json = async (path) => (await ask(path)).json();

async function command(name, args) {
  const answer = await ask("/admin/commands", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ name, args }) });
  return (await answer.json()).text ?? "done";
}

const whole = new Intl.NumberFormat("en");
const unit = (n) => {
  for (const u of ["B", "kB", "MB", "GB"]) {
    if (n < 1000 || u === "GB") return `${n < 10 && u !== "B" ? n.toFixed(1) : Math.round(n)} ${u}`;
    n /= 1000;
  }
};
const ago = (time, now) => {
  if (!time) return "never";
  const s = Math.max(0, Math.round((new Date(now) - new Date(time)) / 1000));
  if (s < 120) return `${s} s ago`;
  if (s < 7200) return `${Math.round(s / 60)} min ago`;
  return s < 172800 ? `${Math.round(s / 3600)} h ago` : `${Math.round(s / 86400)} days ago`;
};

function row(cells) {
  const tr = document.createElement("tr");
  for (const text of cells) tr.insertCell().textContent = text;
  return tr;
}

function element(name, text, ...children) {
  const e = document.createElement(name);
  e.append(text, ...children);
  return e;
}

const fact = ([name, value]) => element("div", "", element("dt", name), element("dd", value));

// What an order means, for those that are known here.
const meaning = {
  auto: "as the rules say",
  live: "the camera whenever it sends",
  replay: "recordings; the camera is recorded",
  record: "the loop; the camera is recorded",
  dark: "recordings; nothing of the camera is taken",
};

function showSwitch(orders, current) {
  const box = $("switch");
  if (box.childElementCount !== orders.length) {
    box.replaceChildren(...orders.map((order) => {
      const button = element("button", order, element("small", meaning[order] ?? ""));
      button.dataset.mode = order;
      return button;
    }));
  }
  for (const b of box.children) b.setAttribute("aria-pressed", b.dataset.mode === current);
}

const modes = { live: "live", replay: "recording", loop: "the loop", waiting: "starting" };

function showState(s) {
  const t = s.truth;
  $("mode").textContent = modes[t.mode] ?? t.mode;
  $("mode").className = `badge ${t.mode}`;
  document.title = `${modes[t.mode] ?? t.mode}: Porthole`;
  $("why").textContent = `since ${new Date(t.since).toLocaleTimeString()}` + (t.camera_off ? "; the camera said that it is off" : "");
  showSwitch(s.commands.includes("server.mode") ? s.orders : [], t.order);
  $("reload").hidden = !s.commands.includes("server.reload");
  const p = s.public;
  const facts = [
    ["frames accepted", whole.format(s.uploads.accepted)],
    ["refused, ignored", `${whole.format(s.uploads.rejected)}, ${whole.format(s.uploads.ignored)}`],
    ["newest refusal", s.uploads.problem ? `${s.uploads.problem} (${ago(s.uploads.at, s.now)})` : "none"],
    ["pictures published", whole.format(t.published)],
    ["waves", whole.format(s.waves)],
    ["viewers, connections", `${whole.format(p.viewers)}, ${whole.format(p.connections)}`],
    ["requests", `${whole.format(p.requests)}, of them ${whole.format(p.unchanged)} unchanged`],
    ["sent", unit(p.bytes)],
    ["time of a picture", `p50 ≤ ${p.p50}, p99 ≤ ${p.p99}`],
    ["connections refused, too slow", `${whole.format(p.refused)}, ${whole.format(p.slow)}`],
  ];
  if (t.cover) {
    facts.push(
      ["unseen recordings", `${whole.format(t.cover.clips)}, ${unit(t.cover.bytes)}`],
      ["days that they last", `${t.cover.days.toFixed(1)}, with ${t.cover.bare_hours} hours of the day bare`],
    );
  }
  $("facts").replaceChildren(...facts.map(fact));
  $("cameras").replaceChildren(...s.cameras.map((c) => row([
    c.name + (c.public ? " (public)" : ""), c.tokens, whole.format(c.sequence), ago(c.frame_at, s.now),
    c.width ? `${c.width}×${c.height}, ${unit(c.bytes)}` : "", c.off ? "said it is off" : "",
  ])));
  $("admins").textContent = s.admins.length ? s.admins.join(", ") : "none, it answers to this machine only";
  $("version").textContent = `porthole ${s.version}`;
  const public_ = s.cameras.find((c) => c.public);
  $("received").textContent = public_ ? ago(public_.frame_at, s.now) : "";
  $("published").textContent = `picture ${whole.format(t.published)}`;
}

// picture shows what a path sends; nothing where there is nothing.
async function picture(id, path) {
  const img = $(id);
  let url = "";
  try {
    url = URL.createObjectURL(await (await ask(path)).blob());
  } catch (error) {
    if (error.status !== 404 && error.status !== 503) throw error;
  }
  if (img.src.startsWith("blob:")) URL.revokeObjectURL(img.src);
  if (url) img.src = url;
  else img.removeAttribute("src");
}

// chart draws one value of the samples over the last hour, with a stripe below
// that says what the public saw.
function chart(id, values) {
  const canvas = $(id);
  const style = getComputedStyle(document.documentElement);
  const [w, h, stripe] = [canvas.width, canvas.height, 8];
  const g = canvas.getContext("2d");
  g.clearRect(0, 0, w, h);
  if (values.length < 2) return;
  const end = values.at(-1).at;
  const span = Math.min(hour, Math.max(hour / 12, end - values[0].at));
  const x = (at) => w - ((end - at) / span) * w;
  const top = Math.max(1e-9, ...values.map((v) => v.y));
  const y = (v) => h - stripe - 4 - (v / top) * (h - stripe - 12);
  g.strokeStyle = style.getPropertyValue("--text");
  g.lineWidth = 2;
  g.beginPath();
  values.forEach((v, i) => g[i ? "lineTo" : "moveTo"](x(v.at), y(v.y)));
  g.stroke();
  for (let i = 1; i < values.length; i++) {
    g.fillStyle = style.getPropertyValue(values[i].live ? "--live" : "--replay");
    g.fillRect(x(values[i - 1].at), h - stripe, x(values[i].at) - x(values[i - 1].at) + 1, stripe);
  }
}

function showHistory(list) {
  samples.length = 0;
  for (const s of list) samples.push({ ...s, at: +new Date(s.at) });
  // The newest sample is of just now. Where it follows another one closely, a
  // rate between the two would jump: it is taken from the one before.
  const wide = samples.filter((s, i) => i !== samples.length - 2 || i === 0 || samples[i + 1].at - s.at > 8000);
  const per = (key, span) => wide.slice(1).map((s, i) => ({
    at: s.at, live: s.live, y: Math.max(0, (s[key] - wide[i][key]) / Math.max(0.001, (s.at - wide[i].at) / span)),
  }));
  const shown = samples.map((s) => ({ at: s.at, live: s.live, y: s.viewers }));
  const bytes = per("bytes", 1000);
  const frames = per("accepted", 60000);
  chart("chart-viewers", shown);
  chart("chart-bytes", bytes);
  chart("chart-frames", frames);
  $("viewers").textContent = whole.format(shown.at(-1)?.y ?? 0);
  $("rate").textContent = unit(bytes.at(-1)?.y ?? 0);
  $("frames").textContent = (frames.at(-1)?.y ?? 0).toFixed(1);
}

function lost(error) {
  $("mode").textContent = "not reachable";
  $("mode").className = "badge lost";
  $("why").textContent = error.message;
}

async function look() {
  clearTimeout(timer);
  if (document.hidden) return;
  try {
    showState(await json("/admin/state"));
    $("login").hidden = true;
    $("main").hidden = false;
    showHistory(await json("/admin/history"));
    await Promise.all([picture("public", "/admin/public.jpg"), picture("camera", "/admin/upload.jpg")]);
  } catch (error) {
    if (error.status === 401) {
      $("refused").textContent = token ? "That is not the token." : "";
      $("mode").textContent = "locked";
      $("mode").className = "badge";
      $("why").textContent = "";
      $("main").hidden = true;
      $("login").hidden = false;
      $("token").focus();
      return; // until somebody logs in
    }
    lost(error);
  }
  timer = setTimeout(look, every);
}

async function say(work) {
  $("said").textContent = "…";
  try {
    $("said").textContent = await work();
  } catch (error) {
    $("said").textContent = `refused: ${error.message}`;
  }
  look();
}

$("switch").addEventListener("click", (e) => {
  const button = e.target.closest("button");
  if (button) say(() => command("server.mode", { mode: button.dataset.mode }));
});
$("reload").addEventListener("click", () => say(() => command("server.reload", {})));
$("login").addEventListener("submit", (e) => {
  e.preventDefault();
  token = $("token").value.trim();
  sessionStorage.setItem("token", token);
  $("token").value = "";
  look();
});
document.addEventListener("visibilitychange", look);
look();
