// A file from the browser to the kernel, part by part; upload.py is the other end.
const PART = 1 << 20; // bytes
const AHEAD = 4; // parts on the way without a receipt
const PATIENCE = 10000; // ms without a receipt, then the kernel is asked what it has

const megabytes = (bytes) => (bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0);

function render({ model, el }) {
  el.classList.add("rmt-upload");
  el.innerHTML = `<label>Open a file<input type="file"></label><span>or drop it here.</span>
    <progress max="1" aria-label="progress" hidden></progress><button type="button" hidden>Stop</button>
    <output aria-live="polite"></output>`;
  const find = (name) => el.querySelector(name);
  const [input, hint, bar, stop, says] = ["input", "span", "progress", "button", "output"].map(find);
  input.accept = model.get("accept");
  let sending = null; // the file that is on its way from this view
  let clock = null;

  const say = (words) => {
    if (says.textContent !== words) says.textContent = words; // a live region speaks with each change
  };

  function show() {
    const work = model.get("fraction"); // of the kernel on a file that has arrived
    const fraction = sending && work < 0 ? sending.received / sending.file.size : work;
    bar.hidden = fraction < 0;
    bar.value = Math.max(fraction, 0);
    hint.hidden = !bar.hidden;
    stop.hidden = !sending || work >= 0;
    el.classList.toggle("failed", !sending && model.get("failed"));
    if (!sending || work >= 0) return say(model.get("words"));
    if (sending.silent) {
      return say(
        "The kernel does not answer: it is busy, or the connection is broken. The upload goes on by itself when it " +
          "answers. If the kernel was restarted, run this cell again.",
      );
    }
    const size = sending.file.size;
    const told = sending.received < size ? Math.floor(fraction * 10) / 10 : 1; // in words in steps of ten per cent
    say(`Sending ${sending.file.name}: ${Math.round(100 * told)} % of ${megabytes(size)} MB.`);
  }

  function begin(file) {
    if (sending) model.send({ kind: "stop", upload: sending.upload });
    const upload = `${Date.now()}-${Math.random()}`;
    sending = { file, upload, next: 0, received: 0, asked: 0, known: false, reading: false, silent: false };
    ask();
    show();
  }

  // The start of an upload; repeated, it asks how much has arrived. What was sent before the answer and is not in it was lost.
  function ask() {
    clearTimeout(clock);
    const { upload, file } = sending;
    sending.asked += 1;
    model.send({ kind: "start", upload, name: file.name, size: file.size, asked: sending.asked });
    wait();
  }

  function wait() {
    clearTimeout(clock);
    clock = setTimeout(() => {
      sending.silent = true;
      show();
      ask();
    }, PATIENCE);
  }

  function end(words) {
    clearTimeout(clock);
    if (stop === document.activeElement) input.focus();
    sending = null;
    show();
    if (words) {
      el.classList.add("failed");
      say(words);
    }
  }

  async function send() {
    const now = sending;
    if (now.reading) return;
    now.reading = true;
    while (sending === now && now.known && now.next < now.file.size && now.next - now.received < AHEAD * PART) {
      const at = now.next;
      let bytes;
      try {
        bytes = await now.file.slice(at, at + PART).arrayBuffer();
      } catch {
        if (sending !== now) return;
        model.send({ kind: "stop", upload: now.upload });
        return end(`${now.file.name} cannot be read. If it is a folder, choose one file in it; if it has changed, choose it again.`);
      }
      if (sending !== now || now.next !== at) continue; // meanwhile it was told to begin elsewhere
      model.send({ kind: "part", upload: now.upload, at }, undefined, [bytes]);
      now.next = at + bytes.byteLength;
    }
    now.reading = false;
  }

  function hear(content) {
    if (!sending || content.upload !== sending.upload) return;
    if (content.over) return end();
    sending.received = content.received;
    sending.silent = false;
    if (content.asked === sending.asked) {
      sending.known = true;
      sending.next = content.received;
    }
    show();
    wait();
    send();
  }

  function take(files) {
    if (files.length === 1) begin(files[0]);
    else if (files.length > 1) {
      el.classList.add("failed");
      say("Choose one file: a model in several files cannot be opened here.");
    }
  }

  const withFiles = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");
  input.addEventListener("change", () => {
    take([...input.files]);
    input.value = ""; // so that the same file may be chosen again
  });
  stop.addEventListener("click", () => {
    if (!sending) return;
    model.send({ kind: "stop", upload: sending.upload });
    end();
  });
  for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
    el.addEventListener(kind, (event) => {
      if (!withFiles(event)) return;
      event.preventDefault();
      event.stopPropagation();
      el.classList.toggle("over", kind === "dragenter" || kind === "dragover");
      if (kind === "drop") take([...event.dataTransfer.files]);
    });
  }
  model.on("msg:custom", hear);
  for (const name of ["words", "failed", "fraction"]) model.on(`change:${name}`, show);
  show();
  return () => {
    clearTimeout(clock);
    if (sending) model.send({ kind: "stop", upload: sending.upload });
    sending = null;
    model.off("msg:custom", hear);
    for (const name of ["words", "failed", "fraction"]) model.off(`change:${name}`, show);
  };
}

export default { render };
