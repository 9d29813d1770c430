// Pictures, sounds and the choice of queries.
const cards = (() => {
  const { at, charts, css, element, media } = page;
  const blank = "data:image/svg+xml," + encodeURIComponent(
    "<svg xmlns='http://www.w3.org/2000/svg' width='160' height='96'>" +
    "<text x='80' y='52' font-size='12' font-family='sans-serif' text-anchor='middle' fill='" + css("--quiet") + "'>not shown</text></svg>");
  const player = new Audio();
  let playing = null;

  const stop = () => {
    player.pause();
    if (playing) {
      playing.setAttribute("aria-pressed", "false");
      playing.style.removeProperty("--played");
    }
    playing = null;
  };
  const play = (button) => {
    const again = playing === button;
    stop();
    if (again || !media.sounds[button.dataset.i]) return;
    playing = button;
    button.setAttribute("aria-pressed", "true");
    player.src = media.sounds[button.dataset.i];
    player.play().catch(() => { if (playing === button) stop(); });
  };
  player.addEventListener("ended", stop);
  player.addEventListener("timeupdate", () => {
    if (playing && player.duration) playing.style.setProperty("--played", player.currentTime / player.duration);
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.play");
    if (button) play(button);
  });

  const fill = (root) => {
    for (const image of root.querySelectorAll("img[data-i]:not([src])")) image.src = media.pictures[image.dataset.i] || blank;
    for (const button of root.querySelectorAll("button.play")) {
      button.disabled = !media.sounds[button.dataset.i];
      if (button.disabled) button.setAttribute("aria-label", button.getAttribute("aria-label").replace(/^Play /, "Sound "));
    }
  };

  // The card of an item that the map looks at.
  const card = (i) => {
    const item = charts.items[i];
    const place = item.path + (item.span ? ", " + item.span : "");
    const figure = element("figure", undefined, "card");
    if (item.display === "words" || item.display === "path") {
      const words = element("blockquote", item.words || item.path, "words");
      words.title = item.title || words.textContent;
      figure.append(words);
    } else {
      const image = element("img");
      image.dataset.i = i;
      image.alt = item.field + " " + place;
      if (item.display === "waveform" && media.sounds[i]) {
        const button = element("button", undefined, "play");
        button.type = "button";
        button.dataset.i = i;
        button.setAttribute("aria-pressed", "false");
        button.setAttribute("aria-label", "Play " + place);
        image.alt = "";
        button.append(image, element("span", undefined, "icon"), element("span", undefined, "progress"));
        figure.append(button);
      } else figure.append(image);
    }
    fill(figure);
    const said = [element("p", item.label === null ? "no label" : item.label), element("p", item.field, "quiet"), element("p", place, "quiet")];
    said[0].style.fontWeight = "600";
    return [figure, ...said];
  };

  for (const box of document.querySelectorAll(".gallery-box")) {
    const direction = at(box.id + "-direction");
    const radios = [...box.querySelectorAll("input[type=radio]")];
    const show = () => {
      stop();
      const chosen = radios.find((radio) => radio.checked).value;
      for (const gallery of box.querySelectorAll(".gallery")) {
        gallery.hidden = gallery.dataset.direction !== direction.value;
        for (const list of gallery.querySelectorAll(".list")) {
          list.hidden = list.dataset.list !== chosen;
          if (!gallery.hidden && !list.hidden) fill(list);
        }
      }
    };
    for (const control of [direction, ...radios]) control.addEventListener("change", show);
    show();
  }
  return { card, play };
})();
