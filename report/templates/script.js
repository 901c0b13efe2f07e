"use strict";
const one = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const made = (tag, text = "", kind = "") => {
  const element = document.createElement(tag);
  element.textContent = text;
  if (kind) element.className = kind;
  return element;
};

/* Colours: as the system has them, light, dark. */
const themes = ["auto", "light", "dark"];
one("#theme").addEventListener("click", () => {
  const root = document.documentElement;
  const next = themes[(themes.indexOf(root.dataset.theme || "auto") + 1) % themes.length];
  root.dataset.theme = next;
  one("#theme span").textContent = next;
  one("#theme").setAttribute("aria-label", `Colours: ${next}`);
});

/* Tables that sort by a click: a missing figure is always last. */
const value = (cell) => {
  const text = cell.dataset.v === undefined ? cell.textContent.trim() : cell.dataset.v;
  return cell.dataset.v === undefined || text === "" ? text : Number(text);
};
const compare = (a, b, sign) => {
  if (a === "" || a === "–") return b === "" || b === "–" ? 0 : 1;
  if (b === "" || b === "–") return -1;
  return sign * (typeof a === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true }));
};
const turn = (heading, numeric) => {
  const was = heading.getAttribute("aria-sort");
  const order = was ? (was === "ascending" ? "descending" : "ascending") : numeric ? "descending" : "ascending";
  all("th", heading.parentNode).forEach((other) => other.removeAttribute("aria-sort"));
  heading.setAttribute("aria-sort", order);
  return order === "ascending" ? 1 : -1;
};
all("table.sortable").forEach((table) => {
  all("thead tr:last-child th", table).forEach((heading, column) => {
    one("button", heading).addEventListener("click", () => {
      const sign = turn(heading, heading.classList.contains("n"));
      const rows = all("tbody tr", table);
      rows.sort((a, b) => compare(value(a.cells[column]), value(b.cells[column]), sign));
      one("tbody", table).append(...rows);
    });
  });
});

/* Classes: [name, training positives, positives, TP, FP, FN, F1]. */
const classes = JSON.parse(one("#class-data").textContent);
const titles = ["class", "in training", "here", "true positive", "false positive", "false negative", "F1"];
let classRows = classes, classLimit = 15;
const drawClasses = () => {
  const wanted = one("#class-search").value.trim().toLowerCase();
  const found = classRows.filter((row) => row[0].toLowerCase().includes(wanted));
  const body = one("#classes tbody");
  body.replaceChildren(...found.slice(0, classLimit).map((row) => {
    const line = made("tr");
    line.append(...row.map((cell, i) => {
      const text = i === 6 ? cell.toFixed(2) : typeof cell === "number" ? cell.toLocaleString("en") : cell;
      return made(i ? "td" : "th", text, i ? "n" : "");
    }));
    return line;
  }));
  const shown = Math.min(classLimit, found.length);
  one("#class-count").textContent = `${shown.toLocaleString("en")} of ${found.length.toLocaleString("en")} classes`;
  one("#class-more").hidden = found.length <= classLimit;
};
titles.forEach((title, column) => {
  const heading = made("th", "", column ? "n" : "");
  const button = made("button", title);
  button.addEventListener("click", () => {
    const sign = turn(heading, column > 0);
    classRows = [...classRows].sort((a, b) => compare(a[column], b[column], sign));
    drawClasses();
  });
  heading.append(button);
  one("#classes thead tr").append(heading);
});
one("#class-search").addEventListener("input", () => { classLimit = 15; drawClasses(); });
one("#class-more").addEventListener("click", () => { classLimit += 50; drawClasses(); });
drawClasses();

/* Predictions: rows are [class, label, clean label, soft, student, models...], per mille. */
const data = JSON.parse(one("#browser-data").textContent);
let limit = 6;
const percent = (mille) => (mille < 0 ? "–" : (mille / 10).toFixed(1));
const bar = (mille) => {
  const cell = made("td", "", "p");
  const fill = made("i");
  fill.style.setProperty("--v", Math.max(mille, 0) / 1000);
  cell.append(made("span", percent(mille)), fill);
  return cell;
};
const strip = (values) => {
  const cell = made("td"), box = made("div", "", values.length > 24 ? "strip many-models" : "strip");
  values.forEach((mille, i) => {
    const square = made("i", "", mille < 0 ? "unknown" : "");
    square.style.setProperty("--v", Math.max(mille, 0) / 1000);
    square.title = `${data.models[i]}: ${percent(mille)}`;
    box.append(square);
  });
  cell.append(box);
  return cell;
};
const header = (texts) => {
  const head = made("thead"), line = made("tr");
  line.append(...texts.map((text) => made("th", text)));
  head.append(line);
  return head;
};
const everyModel = (video) => {
  const table = made("table"), body = made("tbody"), names = video.rows.map((row) => data.names[row[0]]);
  table.append(header(["model", ...names]), body);
  body.append(...data.models.map((model, i) => {
    const line = made("tr");
    line.append(made("th", model), ...video.rows.map((row) => made("td", percent(row[5 + i]), "n")));
    return line;
  }));
  const box = made("div", "", "scroll");
  box.append(table);
  return box;
};
const card = (video, wanted) => {
  const section = made("article", "", "video"), title = made("h3", video.id);
  const group = data.groups[video.group], student = video.rows.some((row) => row[4] >= 0);
  title.append(made("small", `${group.name} · mistake ${video.mistake.toFixed(2)}${video.worst ? "" : " · from the sample"}`));
  const table = made("table"), body = made("tbody"), box = made("div", "", "scroll");
  const columns = student ? ["class", "soft label", "student", "models"] : ["class", "soft label", "models"];
  table.append(header(columns), body);
  body.append(...video.rows.map((row) => {
    const name = data.names[row[0]], line = made("tr"), first = made("td");
    first.append(made("i", "", `mark${row[1] ? " yes" : ""}${row[2] ? " clean" : ""}`), name);
    if (wanted && name.toLowerCase().includes(wanted)) line.className = "hit";
    line.append(first, bar(row[3]), ...(student ? [bar(row[4])] : []), strip(row.slice(5)));
    return line;
  }));
  box.append(table);
  const more = made("details");
  more.append(made("summary", "every model in numbers"));
  more.addEventListener("toggle", () => { if (more.open && !one("table", more)) more.append(everyModel(video)); });
  section.append(title, box, more);
  return section;
};
const drawVideos = () => {
  const wanted = one("#search").value.trim().toLowerCase(), group = one("#group").value;
  const matches = (video) => video.id.toLowerCase().includes(wanted)
    || video.rows.some((row) => data.names[row[0]].toLowerCase().includes(wanted));
  const found = data.videos.filter((video) => (group === "" || video.group === Number(group)) && matches(video));
  const byId = one("#order").value === "id";
  found.sort((a, b) => (byId ? (a.id < b.id ? -1 : 1) : b.mistake - a.mistake));
  one("#videos").replaceChildren(...found.slice(0, limit).map((video) => card(video, wanted)));
  one("#found").textContent = `${found.length.toLocaleString("en")} of the ${data.videos.length.toLocaleString("en")} videos in this file`;
  one("#more").hidden = found.length <= limit;
};
["#search", "#group", "#order"].forEach((name) =>
  one(name).addEventListener("input", () => { limit = 6; drawVideos(); }));
one("#more").addEventListener("click", () => { limit += 20; drawVideos(); });
drawVideos();
