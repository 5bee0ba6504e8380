// Dialogs and small comforts. Every page works without this file: links lead to pages, and forms send themselves.
(function () {
  "use strict";
  var dialog = document.getElementById("dialog");
  var opener = null;
  var pressed = null;
  var isPressed = false;
  var isMissed = false; // numbers came meanwhile

  // "Back" leads to the page of a form, not to what answered it: that is kept nowhere, and the browser would have to send the form again.
  if (document.body.dataset.page) {
    window.history.replaceState(null, "", document.body.dataset.page);
  }

  document.addEventListener("pointerdown", function (event) {
    pressed = event.target;
    isPressed = event.button === 0;
  });
  ["pointerup", "pointercancel", "contextmenu"].forEach(function (end) {
    document.addEventListener(end, function () {
      isPressed = false;
      if (isMissed) {
        isMissed = false;
        window.setTimeout(htmx.trigger, 0, document.body, "live-changed"); // after the click
      }
    });
  });

  document.addEventListener("click", function (event) {
    var link = event.target.closest("a[data-dialog]");
    if (link && window.htmx && dialog && dialog.showModal && !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0) {
      event.preventDefault();
      opener = dialog.contains(link) ? opener : link;
      htmx.ajax("GET", link.getAttribute("href"), { target: "#dialog-content", swap: "innerHTML" });
      return;
    }
    var close = event.target.closest("[data-close]");
    if (close && dialog && dialog.open) {
      event.preventDefault();
      dialog.close();
    } else if (event.target === dialog && pressed === dialog) {
      dialog.close(); // not when a selection of text ends outside the dialog
    }
    var copy = event.target.closest("[data-copy]");
    if (copy) {
      copyText(copy);
    }
  });

  // A key that is held down presses one button, not also the one that comes after it, which may buy what nobody has read.
  document.addEventListener("keydown", function (event) {
    if (event.repeat && event.key === "Enter" && event.target.tagName !== "TEXTAREA") {
      event.preventDefault();
    }
  }, true);

  document.addEventListener("htmx:afterSwap", function (event) {
    if (event.detail.target.id !== "dialog-content") {
      return;
    }
    if (!dialog.open) {
      dialog.showModal();
    }
    dialog.setAttribute("aria-labelledby", "dialog-title");
    var first = ["[aria-invalid]", "[autofocus]", "#dialog-title"].map(function (each) {
      return dialog.querySelector(each);
    }).find(Boolean);
    if (first) {
      first.focus();
      if (first.select) {
        first.select();
      }
    }
  });

  if (dialog) {
    dialog.addEventListener("close", function () {
      document.getElementById("dialog-content").replaceChildren();
      var back = opener && (document.contains(opener) ? opener : opener.id && document.getElementById(opener.id));
      if (back) {
        back.focus();
      }
    });
  }

  // A part that cannot be refreshed stays as it was, and says so; what asks for it again goes on. So does a dialog that cannot be sent.
  function keep(part, text) {
    if (!part.querySelector(":scope > .stale")) {
      var sign = document.createElement("p");
      sign.className = "missing stale";
      sign.setAttribute("role", "status");
      sign.textContent = text || document.body.dataset.stale;
      part.prepend(sign);
    }
    if (part.dataset.live) {
      reconnect();
    }
  }
  document.addEventListener("htmx:sendError", function (event) {
    if (event.detail.target.id !== "dialog-content") {
      keep(event.detail.target);
    } else if (dialog.open) {
      keep(event.detail.target, document.body.dataset.unsent);
    } else {
      window.location.assign(event.detail.pathInfo.requestPath); // the browser says why it cannot be opened
    }
  });

  // A part that is replaced while somebody uses it keeps the focus on the same control.
  var focused = null;
  document.addEventListener("htmx:beforeSwap", function (event) {
    if (event.detail.xhr.status >= 400 && event.detail.target.id !== "dialog-content") {
      event.detail.shouldSwap = false;
      keep(event.detail.target);
      return;
    }
    // A press and a release on two elements are no click, so what is pressed is replaced after its release.
    if (isPressed && event.detail.target.contains(pressed) && event.detail.target.id !== "dialog-content") {
      event.detail.shouldSwap = false;
      isMissed = true;
      return;
    }
    focused = document.activeElement && document.activeElement.id;
  });
  document.addEventListener("htmx:afterSettle", function () {
    if (focused && document.activeElement === document.body) {
      var same = document.getElementById(focused);
      if (same) {
        same.focus();
      }
    }
  });

  // A button that copies a text, and says beside it whether that worked. Without scripts it is not shown.
  function copyText(button) {
    var said = button.nextElementSibling;
    var say = function (text) {
      said.textContent = ""; // so that it is read out again
      window.requestAnimationFrame(function () {
        said.textContent = text;
      });
    };
    var failed = say.bind(null, button.dataset.notCopied);
    if (navigator.clipboard) {
      navigator.clipboard.writeText(button.dataset.copy).then(say.bind(null, button.dataset.copied), failed);
    } else {
      failed();
    }
  }
  document.querySelectorAll("[data-copy]").forEach(function (button) {
    button.hidden = false;
  });
  // Live numbers. Only a page that somebody sees is connected: a browser allows six connections to a host, and each tab would take one.
  var stream = null;
  var wait = 2000;
  var isOver = false; // the reader may no longer see the numbers
  var again = 0; // one timer: otherwise each failed connection would start two more, if the numbers fail as well
  function disconnect() {
    if (stream) {
      stream.close();
      stream = null;
    }
  }
  function connect() {
    var part = document.querySelector("[data-live]");
    if (document.hidden || !part || isOver) {
      disconnect();
    } else if (!stream) {
      stream = new EventSource(part.dataset.live);
      stream.addEventListener("changed", function () {
        htmx.trigger(document.body, "live-changed");
      });
      stream.addEventListener("over", function () {
        isOver = true;
        disconnect();
        htmx.trigger(document.body, "live-changed"); // says that the numbers cannot be refreshed
      });
      stream.addEventListener("open", function () {
        wait = 2000;
        if (document.querySelector("[data-live] > .stale")) {
          htmx.trigger(document.body, "live-changed");
        }
      });
      stream.addEventListener("error", function () {
        htmx.trigger(document.body, "live-changed"); // shows new numbers, says that they may be old, or leads to the sign-in
        reconnect();
      });
    }
  }
  // The new connection names what the page shows by then, and hears at once if that is not the newest.
  function reconnect() {
    disconnect();
    window.clearTimeout(again);
    again = window.setTimeout(connect, wait);
    wait = Math.min(2 * wait, 60000);
  }
  document.addEventListener("visibilitychange", connect);
  connect();

  // A box that checks all boxes of its table.
  document.querySelectorAll("[data-check-all]").forEach(function (all) {
    all.hidden = false;
    all.addEventListener("change", function () {
      all.closest("table").querySelectorAll("input[name='" + all.dataset.checkAll + "']").forEach(function (box) {
        box.checked = all.checked;
      });
    });
  });

  // A preview that is still being computed is asked for again.
  document.querySelectorAll("form[data-send-after]").forEach(function (form) {
    window.setTimeout(function () {
      form.requestSubmit();
    }, Number(form.dataset.sendAfter) * 1000);
  });

  // A form that was sent is not sent again by a second click.
  document.addEventListener("submit", function (event) {
    if (event.target.dataset.sent) {
      event.preventDefault();
    } else if (event.target.method === "post" && !event.target.hasAttribute("hx-post")) {
      event.target.dataset.sent = "yes";
    }
  });
  window.addEventListener("pageshow", function () {
    document.querySelectorAll("form[data-sent]").forEach(function (form) {
      delete form.dataset.sent;
    });
  });
})();
